"""POST /mcp: who asks, and whether they may. What was asked is answered by agentapp.mcp_server.server.

Nothing of the package `mcp` is imported here: commands and workers load the addresses too.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import pydantic
from django.conf import settings
from django.http import HttpResponse
from rest_framework.request import Request

from agentapp.api import body, problems
from agentapp.api.endpoint import Endpoint
from agentapp.api.problems import Problem
from agentapp.policies import sentences
from agentapp.services.principals import Principal

KEY = "agentapp.mcp"
METHODS = "OPTIONS, POST"
FOR_BROWSERS = (
    "This is the address of an MCP server, for assistants: it answers POST. Register it in an MCP client as streamable "
    "HTTP, with the header `Authorization: Bearer aa_...`."
)


@dataclass(frozen=True)
class Accepted:
    """A request that may be answered: by whom it is, and its body."""

    principal: Principal
    body: bytes


class Handover:
    """What a request to this process may come to: `accepted` is set by the endpoint, `start` is the head of its
    answer."""

    def __init__(self) -> None:
        self.accepted: Accepted | None = None
        self.start: MutableMapping[str, Any] | None = None

    def take(self, message: MutableMapping[str, Any]) -> bool:
        """Keep a message of the response to a request that was accepted; False for any other."""
        if message["type"] == "http.response.start" and self.accepted is not None and message["status"] == 200:
            self.start = message
        return self.start is not None


class Mcp(Endpoint):
    """POST /mcp: the Model Context Protocol as streamable HTTP, without sessions. Each tool needs scopes of its own."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        if request.method in ("GET", "HEAD"):
            # Clients look whether there is a stream to follow; people open the address in a browser.
            raise Problem("method-not-allowed", FOR_BROWSERS, headers={"Allow": METHODS})
        _check_origin(request)
        super().initial(request, *args, **kwargs)

    def post(self, request: Request) -> HttpResponse:
        found: Handover | None = getattr(request._request, "scope", {}).get(KEY)
        if found is None:
            raise problems.unavailable("This process serves no MCP: it was not started as an ASGI application.")
        raw, message = body.received(request)
        _check_message(message)
        found.accepted = Accepted(self.principal, raw)
        return HttpResponse()


def _check_message(message: Any) -> None:
    """Refuse what is no message of JSON-RPC: the transport would answer in words that are not ours."""
    if not isinstance(message, dict):
        raise Problem("bad-request", "Send one message of JSON-RPC 2.0, as a JSON object.")
    try:
        _Message.model_validate(message)
    except pydantic.ValidationError as error:
        raise Problem("bad-request", sentences.detail(sentences.field_errors(error))) from error


def _id(value: Any) -> int | str:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("This must be a whole number or a string.")
    return value


class _Message(pydantic.BaseModel):
    """A request or a notification. Responses are none of ours: nothing is asked of clients."""

    model_config = pydantic.ConfigDict(strict=True)

    jsonrpc: Literal["2.0"]
    method: str
    id: Annotated[int | str, pydantic.BeforeValidator(_id)] = 0
    params: dict[str, Any] = {}


def _check_origin(request: Request) -> None:
    """Refuse what a page of another site sends: its host name may have been made to lead here (DNS rebinding). The
    name of this service itself is checked by DJANGO_ALLOWED_HOSTS."""
    origin = request.headers.get("Origin")
    if origin is None or origin in settings.CSRF_TRUSTED_ORIGINS:
        return
    if urlsplit(origin).netloc != request.get_host():
        sentence = "A page of another site may not ask this service. Leave the header Origin out, or ask from a server."
        raise Problem("forbidden", sentence)
