"""Requests to the endpoints that an operator has set up for agents: who may call which, and what an answer proves."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from typing import Any

from agentapp import clock, conf
from agentapp.delivery.guarded_http import Answer, Guard, Limits, NoAnswer, NotConnected
from agentapp.errors import CannotBeSent, EffectUnknown, NotSentYet, ToolFailed, TransientError
from agentapp.llm import rate_headers
from agentapp.models import Tenant
from agentapp.policies import storable
from agentapp.policies.addresses import TargetNotAllowed
from agentapp.policies.http_endpoints import HttpEndpoint

Json = dict[str, Any]
LIMITS = Limits(connect_s=5.0, read_s=30.0, total_s=60.0, content_s=20.0, content_bytes=256 * 1024)
MOST_CHARACTERS = 20_000
IDEMPOTENCY_KEY = "Idempotency-Key"
# It was not looked at: the receiver stopped reading, does not read early requests, or has too many.
NOT_DONE = frozenset({408, 425, 429})
_TEXTS = ("text/", "application/json", "application/xml", "application/problem+json", "application/x-ndjson")


# Python knows them beside the charsets; some take minutes for a content of this size.
_NO_CHARSETS = frozenset({"punycode", "idna", "utf-7", "unicode-escape", "unicode_escape", "raw-unicode-escape"})


@dataclass(frozen=True)
class Request:
    """What is sent. `secret` is no part of it: it is looked up when the request is sent."""

    endpoint: HttpEndpoint
    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None = None


def find(tenant_id: int, name: str, method: str) -> HttpEndpoint:
    """Return an endpoint that a tenant may call with this method. Raises ToolFailed with words for the model."""
    slug = Tenant.objects.values_list("slug", flat=True).get(pk=tenant_id)
    mine: dict[str, HttpEndpoint] = {
        known: found for known, found in conf.http_endpoints().items() if found.is_for(slug)
    }
    if name not in mine:
        raise ToolFailed(f"There is no endpoint {name[:80]!r}; there are: {', '.join(sorted(mine)) or 'none'}.")
    if method not in mine[name].methods:
        raise ToolFailed(f"The endpoint {name} may be called with {', '.join(mine[name].methods)}, not with {method}.")
    return mine[name]


def send(request: Request, *, secret: str, key: str = "", by: Guard | None = None) -> Answer:
    """Send a request once. Redirects are not followed: the secret would go with them.

    Raises:
        TargetNotAllowed: the address may not be connected to; nothing was.
        NotConnected: nothing was sent.
        NoAnswer: it may have arrived.
    """
    endpoint = request.endpoint
    guard = by or Guard(allowed=endpoint.networks, allowed_by="AGENTAPP_HTTP_ENDPOINTS (networks)")
    headers = {"User-Agent": "agentapp", "Accept": "application/json, text/*", **request.headers}
    if key:
        headers[IDEMPOTENCY_KEY] = key
    headers |= endpoint.credentials(secret)
    return guard.request(request.method, request.url, headers=headers, body=request.body, limits=LIMITS)


def do(request: Request, *, secret: str, key: str, by: Guard | None = None) -> Json:
    """Send a request that changes something, and return what was answered.

    Any answer but that of a failed server says that the request was dealt with: done, or refused for what it says.

    Raises:
        NotSentYet: it changed nothing, and may be sent later.
        CannotBeSent: it changed nothing, and its address may not be called.
        EffectUnknown: it may have been done, and sending it again may do it twice.
        TransientError: the same, where sending it again does it once.
    """
    try:
        answer = send(request, secret=secret, key=key, by=by)
    except TargetNotAllowed as error:
        raise CannotBeSent(f"This endpoint may not be called: {error}") from error
    except NotConnected as error:
        raise NotSentYet(str(error)) from error
    except NoAnswer as error:
        raise _doubt(request.endpoint, f"It was sent and not answered. {error}") from error
    wait_s = rate_headers.retry_after_s(answer.headers, now=clock.now())
    if answer.status in NOT_DONE:
        raise NotSentYet(f"It answered {answer.status}.", retry_after_s=wait_s)
    if answer.status >= 500:
        raise _doubt(request.endpoint, f"It answered {answer.status}.", wait_s=wait_s)
    return told(answer)


def _doubt(endpoint: HttpEndpoint, words: str, *, wait_s: float | None = None) -> TransientError | EffectUnknown:
    if endpoint.is_idempotent:
        return TransientError(words, retry_after_s=wait_s)
    return EffectUnknown(f"{words} Find out whether it was done, then resolve this dead letter.")


def _text(content: bytes, kind: str) -> str:
    """Return a content as its type says that it is written; as UTF-8 where that is nothing known."""
    head = Message()
    head["Content-Type"] = kind
    try:
        name = codecs.lookup(head.get_content_charset("utf-8")).name
        return content.decode("utf-8" if name in _NO_CHARSETS else name, errors="replace")
    except (LookupError, ValueError):
        return content.decode(errors="replace")


def told(answer: Answer) -> Json:
    """Return an answer for the model: its status, and its content if that is text."""
    kind = answer.headers.get("content-type", "text/plain").lower()
    where = {"location": storable.text(answer.headers["location"], most=500)} if "location" in answer.headers else {}
    if answer.content and not kind.startswith(_TEXTS) and "json" not in kind:
        return {"status": answer.status, **where, "content": f"({storable.text(kind, most=80)}, which is no text)"}
    text = _text(answer.content, kind)
    cut = {} if answer.is_whole and len(text) <= MOST_CHARACTERS else {"is_cut": True}
    return {"status": answer.status, **where, "content": storable.text(text, most=MOST_CHARACTERS), **cut}
