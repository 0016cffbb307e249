"""Headers of answers that several operations have."""

from __future__ import annotations

from typing import Any

from agentapp.api import idempotency
from agentapp.api.contract.operation import Answer, nothing, one

LOCATION = "Location"
RETRY_AFTER = "Retry-After"
REPLAYED = idempotency.REPLAYED
# A request that is sent twice is done once.
NAMED = {idempotency.HEADER: "A name of your own for this request: sent again within a day, it makes nothing new."}
# What is not sent again to who has it, and changed only as it was read.
KNOWN = {"If-None-Match": "The `ETag` of the answer that you have."}
AS_READ: dict[str, Any] = {
    "headers": {"If-Match": "The `ETag` of what you have read: where it was changed since, it stays as it is."},
    "problems": ("precondition-failed",),
}
_TAG = "ETag"
TRACEPARENT = "traceparent"
TRACED = {TRACEPARENT: "The trace that the task belongs to, in the form of W3C Trace Context."}
RATE_LIMIT = ("RateLimit", "RateLimit-Policy")

_KNOWN: dict[str, tuple[str, dict[str, Any]]] = {
    LOCATION: ("The address of what was made.", {"type": "string", "format": "uri-reference"}),
    RETRY_AFTER: ("Seconds after which the same request may succeed.", {"type": "integer", "minimum": 0}),
    "RateLimit": ('How many more tasks are accepted now: `"waiting-tasks";r=49998`.', {"type": "string"}),
    "RateLimit-Policy": (
        'How many tasks of the tenant may wait to start: `"waiting-tasks";q=50000`.', {"type": "string"}
    ),
    REPLAYED: ("`true`: it repeats the answer to an earlier request of the same name.", {"type": "string"}),
    "WWW-Authenticate": ("Which proof is asked for.", {"type": "string"}),
    "Upgrade": ("What the address speaks.", {"type": "string"}),
    "Allow": ("The methods of the address.", {"type": "string"}),
    _TAG: ("The version of what is shown.", {"type": "string"}),
    "Accept-Ranges": ("`bytes`: parts can be asked for.", {"type": "string"}),
    "Content-Range": ("Which bytes these are, and of how many.", {"type": "string"}),
    "Content-Disposition": ("The name under which a browser stores it.", {"type": "string"}),
}  # fmt: skip
_OF_STATUS = {
    401: ("WWW-Authenticate",), 405: ("Allow",), 416: ("Content-Range",), 426: ("Upgrade",),
    429: (RETRY_AFTER, *RATE_LIMIT), 503: (RETRY_AFTER,),
}  # fmt: skip


def tagged(shape: Any) -> dict[str, Any]:
    """What an operation says that reads a record which is changed as it was read."""
    return {"answers": {200: one(shape, "", _TAG), 304: nothing("You have it.", _TAG)}, "headers": KNOWN}


def changed(shape: Any) -> dict[str, Any]:
    """What an operation says that changes such a record, and answers with it."""
    return {"answers": {200: one(shape, "", _TAG)}, **AS_READ}


def of_problem(status: int) -> dict[str, Any]:
    """Return the headers of a problem document with this status."""
    return {name: described(name) for name in _OF_STATUS.get(status, ())}


def of_answer(answer: Answer) -> dict[str, Any]:
    """Return the headers of a successful answer."""
    sent = {name: described(name) for name in answer.headers}
    return sent | {name: described(name) | {"required": False} for name in answer.optional}


def described(name: str) -> dict[str, Any]:
    """Return the header object of a header.

    Raises:
        KeyError: nobody has described it above.
    """
    description, schema = _KNOWN[name]
    return {"description": description, "required": True, "schema": schema}
