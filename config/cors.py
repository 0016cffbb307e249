"""Pages of other origins that may call the API from a browser: those that AGENTAPP_CORS_ORIGINS names, by default none.

Outside of Django, because also an answer that is given before it (a body that is too large) must be readable for pages.
Credentials that a browser adds by itself, such as the session of the admin, are never let through: a key is sent by the
page that has it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Any

from agentapp.api import links

App = Callable[[Any, Any, Any], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

ANY = "*"
METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
ALLOWED = (
    "Accept, Authorization, Content-Encoding, Content-Type, Idempotency-Key, If-None-Match, If-Range, Last-Event-ID, "
    "Range, traceparent"
)
EXPOSED = (
    "Accept-Encoding, Allow, Content-Disposition, Content-Range, ETag, Idempotency-Replayed, Location, RateLimit, "
    "RateLimit-Policy, Retry-After, WWW-Authenticate"
)
PREFLIGHT_KEPT_S = 600


class Cors:
    """ASGI middleware: `origins` are those that may read the answers, `*` stands for all."""

    def __init__(self, app: App, *, origins: Collection[str]) -> None:
        self.app = app
        self.origins = frozenset(origins)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if not self.origins or scope["type"] != "http" or self._is_for_people(scope):
            await self.app(scope, receive, send)
            return
        sent = dict(scope["headers"])
        allowed = self._allowed(sent.get(b"origin", b"").decode("latin-1"))
        added = self._headers(allowed)
        if allowed and scope["method"] == "OPTIONS" and b"access-control-request-method" in sent:
            await _answer_preflight(send, added)
            return

        async def send_on(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": _merged(message.get("headers", ()), added)}
            await send(message)

        await self.app(scope, receive, send_on)

    @staticmethod
    def _is_for_people(scope: Any) -> bool:
        path: str = scope["path"].removeprefix(scope.get("root_path", ""))
        return path.startswith(links.FOR_PEOPLE)

    def _allowed(self, origin: str) -> str:
        """Return the origin, or *, if it may read the answer."""
        if origin and ANY in self.origins:
            return ANY
        return origin if origin in self.origins else ""

    def _headers(self, allowed: str) -> Headers:
        # Where the answer depends on the origin, a cache must know.
        vary: Headers = [] if ANY in self.origins else [(b"vary", b"Origin")]
        if not allowed:
            return vary
        headers = {"access-control-allow-origin": allowed, "access-control-expose-headers": EXPOSED}
        return [*vary, *((name.encode(), value.encode("latin-1")) for name, value in headers.items())]


def _merged(headers: Any, added: Headers) -> Headers:
    """Add headers to those of an answer; there is one Vary."""
    given = [(bytes(name), bytes(value)) for name, value in headers]
    vary = [value for name, value in [*given, *added] if name.lower() == b"vary"]
    rest = [(name, value) for name, value in [*given, *added] if name.lower() != b"vary"]
    return [*rest, (b"vary", b", ".join(dict.fromkeys(vary)))] if vary else rest


async def _answer_preflight(send: Any, added: Headers) -> None:
    """Answer the question whether a page may send a request, which comes without a key."""
    own = {
        "access-control-allow-methods": METHODS,
        "access-control-allow-headers": ALLOWED,
        "access-control-max-age": str(PREFLIGHT_KEPT_S),
    }
    headers = [*added, *((name.encode(), value.encode()) for name, value in own.items())]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
