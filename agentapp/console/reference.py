"""The page at `/docs`: every operation of the API, made of its OpenAPI document."""

from __future__ import annotations

from functools import lru_cache

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import get_script_prefix
from django.views.decorators.http import require_safe

from agentapp.api import openapi
from agentapp.console import reference_parts


@require_safe
def reference(request: HttpRequest) -> HttpResponse:
    """Show the reference; it says nothing that `/schema` does not say to everybody."""
    return HttpResponse(_page(get_script_prefix()), headers={"Cache-Control": "no-cache"})


@lru_cache(maxsize=4)
def _page(prefix: str) -> str:
    """Return the page for a service below this prefix; making it takes far longer than sending it."""
    server = prefix.rstrip("/")
    document = openapi.current(server or "/")
    context = {
        "server": server,
        "version": document["info"]["version"],
        "groups": reference_parts.groups(document),
        "webhooks": reference_parts.webhooks(document),
        "types": reference_parts.types(document),
    }
    return render_to_string("reference/page.html", context)
