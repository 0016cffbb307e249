"""/schema: the OpenAPI document of this API, open to everybody."""

from __future__ import annotations

import hashlib
import json
import threading
from functools import lru_cache
from typing import Any

from django.http import HttpResponse
from django.urls import get_script_prefix
from rest_framework.request import Request

from agentapp.api import conditional
from agentapp.api.answers.webhooks import TaskEvent, TestEvent
from agentapp.api.contract.operation import Operation, Webhook, nothing, one
from agentapp.api.endpoint import PublicEndpoint
from agentapp.policies import webhooks

# What we send to addresses of clients, by the name of its event.
SIGNED = {
    "webhook-id": "The same for all sends of one event: what you have seen already is no news.",
    "webhook-timestamp": "When it was sent, in seconds since 1970. Refuse what is old.",
    "webhook-signature": "`v1,` and a signature (https://www.standardwebhooks.com); for a day after a rotation two.",
}
WEBHOOKS = {
    event: Webhook(f"on_{event.replace('.', '_')}", f"{event.replace('.', ' ').capitalize()}", TaskEvent, SIGNED)
    for event in webhooks.EVENTS
} | {webhooks.TEST_EVENT: Webhook("on_webhook_test", "A test of an endpoint", TestEvent, SIGNED)}
MAX_AGE_S = 300
_MAKING = threading.Lock()


class OpenApi(PublicEndpoint):
    """GET /schema."""

    contract = {
        "GET": Operation(
            "get_schema",
            "Read the OpenAPI document of this API",
            answers={200: one(dict[str, Any], "The document.", "ETag"), 304: nothing("You have it.", "ETag")},
            headers={"If-None-Match": "The `ETag` of the document that you have."},
        )
    }

    def get(self, request: Request) -> HttpResponse:
        content, tag = _written(get_script_prefix().rstrip("/") or "/")
        headers = {"ETag": tag, "Cache-Control": f"public, max-age={MAX_AGE_S}"}
        if conditional.is_known(request, tag):
            return HttpResponse(status=304, headers=headers)
        return HttpResponse(content, content_type="application/json", headers=headers)


def current(server: str = "/") -> dict[str, Any]:
    """Return the document for a service that is reached at `server`; it is made once. Nobody may change it."""
    # Two threads that make the first one together run into each other in the library.
    with _MAKING:
        return _made(server)


@lru_cache(maxsize=4)
def _made(server: str) -> dict[str, Any]:
    # What makes the document is dear to load, and few web processes are asked for it.
    from agentapp.api.contract import document

    # The table of addresses holds this endpoint too.
    from agentapp.api.urls import ADDRESSES

    return document.build(ADDRESSES, WEBHOOKS, server=server)


@lru_cache(maxsize=4)
def _written(server: str) -> tuple[bytes, str]:
    content = json.dumps(current(server), ensure_ascii=False).encode()
    return content, f'"{hashlib.sha256(content).hexdigest()[:16]}"'
