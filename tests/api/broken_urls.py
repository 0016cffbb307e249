"""Addresses of a service whose code is broken, for the tests of what is said then."""

from __future__ import annotations

from typing import NoReturn

from django.http import HttpRequest
from django.urls import path
from rest_framework.request import Request

from agentapp.api.endpoint import PublicEndpoint

SECRET = "hunter2"


class Broken(PublicEndpoint):
    def get(self, request: Request) -> NoReturn:
        raise RuntimeError(SECRET)


def broken_view(request: HttpRequest) -> NoReturn:
    raise RuntimeError(SECRET)


def leaving_view(request: HttpRequest) -> NoReturn:
    raise {"exit": SystemExit, "interrupt": KeyboardInterrupt}[request.GET["by"]]


urlpatterns = [
    path("endpoint", Broken.as_view()),
    path("view", broken_view),
    path("admin/view", broken_view),
    path("leaving", leaving_view),
]

handler400 = "agentapp.api.fallback.bad_request"
handler404 = "agentapp.api.fallback.not_found"
handler500 = "agentapp.api.fallback.server_error"
