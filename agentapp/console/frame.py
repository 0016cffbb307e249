"""What all pages of the console share: people who are logged in, and the frame of the admin."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import admin
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotFound
from django.shortcuts import render
from django.urls import reverse

from agentapp.admin.base import principal_of
from agentapp.errors import NotFound

View = Callable[..., HttpResponse]


def for_people(view: View) -> View:
    """Let in those who may read tasks; others log in, or learn that they may not. A task that is another tenant's is as
    unknown as one that there is not."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **more: Any) -> HttpResponse:
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path(), reverse("admin:login"))
        if "tasks:read" not in principal_of(request).scopes:
            raise PermissionDenied
        try:
            return view(request, *args, **more)
        except NotFound as error:
            return HttpResponseNotFound(f"{error}\n", content_type="text/plain; charset=utf-8")

    return wrapped


def page(request: HttpRequest, template: str, context: dict[str, Any], *, status: int = 200) -> HttpResponse:
    """Render a whole page."""
    frame = admin.site.each_context(request) | {"scopes": principal_of(request).scopes}
    return render(request, template, frame | context, status=status)


def fragment(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    """Render a part of a page, which the page fetches again by itself."""
    shown = render(request, template, context | {"scopes": principal_of(request).scopes})
    shown.headers["Cache-Control"] = "no-store"
    return shown
