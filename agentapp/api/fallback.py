"""Answers where no endpoint is: unknown addresses, and errors outside of endpoints.

Programs get a problem document, browsers Django's own page where no address of the API is. config/urls.py names these
as its error handlers.
"""

from __future__ import annotations

import sys
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import Resolver404, resolve
from django.utils.decorators import method_decorator
from django.views import View, csrf, defaults
from django.views.decorators.csrf import csrf_exempt
from rest_framework.views import APIView

from agentapp.api import links, problems
from agentapp.api.problems import Problem
from agentapp.lifecycle import database


@method_decorator(csrf_exempt, name="dispatch")
class Nowhere(View):
    """Everything below the API's nouns that is no address, by any method."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return problems.nothing_here().response(instance=request.path)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Be `handler404`."""
    if _wants_page(request):
        return defaults.page_not_found(request, exception)
    return problems.nothing_here().response(instance=request.path)


def server_error(request: HttpRequest) -> HttpResponseBase:
    """Be `handler500`; also outside of endpoints a store that is away is no fault of ours."""
    error = sys.exc_info()[1]
    if isinstance(error, Exception) and problems.is_passing(error):
        database.drop_sessions_after(error)
        problem = problems.of(error)
        if _wants_page(request):
            return HttpResponse(
                f"{problem.detail}\n", status=503, content_type="text/plain; charset=utf-8", headers=problem.headers
            )
        return problem.response(instance=request.path)
    if _wants_page(request):
        return defaults.server_error(request)
    return problems.internal_error().response(instance=request.path)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Be `handler400`: mostly a Host header that the service does not answer to."""
    if _wants_page(request):
        return defaults.bad_request(request, exception)
    detail = "The request is refused. Check the Host header: DJANGO_ALLOWED_HOSTS names those that are answered."
    return Problem("bad-request", detail).response(instance=request.path)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponseBase:
    """Be CSRF_FAILURE_VIEW."""
    if _wants_page(request):
        return csrf.csrf_failure(request, reason)
    return Problem("forbidden", "This is a form for people. Use an address of the API.").response(instance=request.path)


def _wants_page(request: HttpRequest) -> bool:
    """Tell whether a person looks at the answer: in pages for people, or where Accept prefers HTML and no API is."""
    if request.path_info.startswith(links.FOR_PEOPLE):
        return True
    return not _is_of_the_api(request) and request.get_preferred_type(["application/json", "text/html"]) == "text/html"


def _is_of_the_api(request: HttpRequest) -> bool:
    try:
        view = resolve(request.path_info).func
    except Resolver404:
        return False
    return issubclass(getattr(view, "view_class", View), APIView | Nowhere)
