"""By what requests are counted: the template of their address, never the address itself. [H1]"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from agentapp.api import links, metrics, probes
from agentapp.api.urls import ADDRESSES
from agentapp.mcp_server.endpoint import Mcp
from agentapp.services.request_counts import OTHER

# Who asks how the process itself does, asks often and says nothing of clients.
NOT_COUNTED = (probes.Health, probes.Readiness, metrics.Metrics)

_TEMPLATES: dict[Any, str] = {endpoint: f"/{address}" for address, endpoint in ADDRESSES.items()} | {Mcp: "/mcp"}


def of(request: HttpRequest) -> str | None:
    """Return the route of a request, one of a fixed set; None where it is not counted."""
    for pages in links.FOR_PEOPLE:
        if request.path_info.startswith(pages):
            return pages
    view = getattr(request.resolver_match, "func", None)
    endpoint = getattr(view, "view_class", None)
    return None if endpoint in NOT_COUNTED else _TEMPLATES.get(endpoint, OTHER)
