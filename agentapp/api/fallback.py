"""Answers where no endpoint is: unknown addresses, and errors outside of endpoints.

Programs get a problem document, browsers Django's own page. config/urls.py names these as its error handlers.
"""

from __future__ import annotations

import sys
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.views import View, defaults

from agentapp.api import problems
from agentapp.api.problems import Problem
from agentapp.lifecycle import database

FOR_PEOPLE = ("/admin/", "/console/")


class Nowhere(View):
    """Everything below the API's nouns that is no address."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return _nothing_here().response(instance=request.path)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Be `handler404`."""
    if _is_browser(request):
        return defaults.page_not_found(request, exception)
    return _nothing_here().response(instance=request.path)


def server_error(request: HttpRequest) -> HttpResponseBase:
    """Be `handler500`; also outside of endpoints a store that is away is no fault of ours."""
    error = sys.exc_info()[1]
    if isinstance(error, Exception) and problems.is_passing(error):
        database.drop_sessions_after(error)
        problem = problems.of(error)
        if _is_browser(request):
            return HttpResponse(
                f"{problem.detail}\n", status=503, content_type="text/plain; charset=utf-8", headers=problem.headers
            )
        return problem.response(instance=request.path)
    if _is_browser(request):
        return defaults.server_error(request)
    detail = "The request could not be handled; the service's log says why."
    return Problem("internal-error", detail).response(instance=request.path)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Be `handler400`: mostly a Host header that the service does not answer to."""
    if _is_browser(request):
        return defaults.bad_request(request, exception)
    detail = "The request is refused. Check the Host header: DJANGO_ALLOWED_HOSTS names those that are answered."
    return Problem("bad-request", detail).response(instance=request.path)


def _nothing_here() -> Problem:
    return Problem("not-found", "There is nothing at this address.")


def _is_browser(request: HttpRequest) -> bool:
    # Before a 400 about the host, only the raw header is safe to read.
    return request.path_info.startswith(FOR_PEOPLE) or "text/html" in request.META.get("HTTP_ACCEPT", "")
