"""What a test may ask of the server: to fail, to be slow, and to tell what it was asked."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from agentapp.offline_model.limits import Limits

FAULTS = ("status", "timeout", "truncate_stream", "malformed_chunk", "malformed_json", "disconnect")
MATCHES = ("path", "contains", "schema_name", "model")
REMEMBERED = 20_000
HANG_S = 600.0


class BadRule(ValueError):
    """A fault rule that cannot be read; the message says why."""


@dataclass
class Rule:
    """One fault: which requests it hits, how often (None: always), and what happens to them. Times in seconds."""

    fault: str
    match: dict[str, str] = field(default_factory=dict)
    times: int | None = 1
    status: int = 500
    retry_after_s: float | None = None
    body: dict[str, Any] | None = None
    delay_s: float | None = None

    def hits(self, *, path: str, raw: str, body: dict[str, Any]) -> bool:
        """Say whether the rule is about this request; every entry of `match` must fit."""
        facts = {"path": path, "model": body.get("model"), "schema_name": schema_name(body)}
        for name, wanted in self.match.items():
            if name == "contains":
                if wanted not in raw and json.dumps(wanted)[1:-1] not in raw:
                    return False
            elif facts[name] != wanted:
                return False
        return True


@dataclass
class Control:
    """The knobs of one server process and its memory of requests."""

    latency_s: float = 0.0
    tokens_per_s: float = 0.0
    enabled: bool = False
    rules: list[Rule] = field(default_factory=list)
    count: int = 0
    requests: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    limits: Limits = field(default_factory=Limits)

    def record(self, *, path: str, body: dict[str, Any]) -> None:
        """Remember a request, for tests only."""
        self.count += 1
        if self.enabled:
            arrived = {"number": self.count, "path": path, "body": body, "at_s": time.monotonic(), "status": 200}
            self.requests.append(arrived)

    def refused(self) -> None:
        """The request that was recorded last is answered with 429."""
        if self.enabled:
            self.requests[-1]["status"] = 429

    def take(self, *, path: str, raw: str, body: dict[str, Any]) -> Rule | None:
        """Return the first rule that hits this request and use it up once."""
        for rule in self.rules:
            if rule.hits(path=path, raw=raw, body=body):
                if rule.times is not None:
                    rule.times -= 1
                    if rule.times <= 0:
                        self.rules.remove(rule)
                return rule
        return None


def schema_name(body: dict[str, Any]) -> str | None:
    """Return the name of the schema that a request asks for."""
    response_format = body.get("response_format")
    described = response_format.get("json_schema") if isinstance(response_format, dict) else None
    return described.get("name") if isinstance(described, dict) else None


def read_rule(given: Any) -> Rule:
    """Read a rule from JSON.

    Raises:
        BadRule: says what is wrong with it.
    """
    if not isinstance(given, dict) or given.get("fault") not in FAULTS:
        raise BadRule(f"a rule is an object with a fault, one of {', '.join(FAULTS)}")
    match = given.get("match") or {}
    unknown = set(given) - set(Rule.__dataclass_fields__) | set(match) - set(MATCHES)
    if unknown:
        raise BadRule(f"unknown in a rule: {', '.join(sorted(unknown))}; match knows {', '.join(MATCHES)}")
    return Rule(**{**given, "match": match})


def routes(control: Control) -> list[Route]:
    """Return the endpoints under /_control."""

    async def faults(request: Request) -> Response:
        if request.method == "POST":
            given = await request.json()
            try:
                control.rules += [read_rule(rule) for rule in (given if isinstance(given, list) else [given])]
            except BadRule as error:
                return JSONResponse({"error": {"message": str(error)}}, status_code=400)
        elif request.method == "DELETE":
            control.rules.clear()
        return JSONResponse([asdict(rule) for rule in control.rules])

    async def speed(request: Request) -> Response:
        given = await request.json()
        control.latency_s = float(given.get("latency_s", control.latency_s))
        control.tokens_per_s = float(given.get("tokens_per_s", control.tokens_per_s))
        return JSONResponse({"latency_s": control.latency_s, "tokens_per_s": control.tokens_per_s})

    async def limits(request: Request) -> Response:
        try:
            control.limits.set(await request.json() if request.method == "PUT" else {})
        except (ValueError, TypeError) as error:
            return JSONResponse({"error": {"message": str(error)}}, status_code=400)
        control.limits.refused = 0
        return JSONResponse(control.limits.headers())

    async def requests(request: Request) -> Response:
        if request.method == "DELETE":
            control.requests.clear()
            control.count = 0
        return JSONResponse({"count": control.count, "requests": list(control.requests)})

    return [
        Route("/_control/faults", _loopback(faults), methods=["GET", "POST", "DELETE"]),
        Route("/_control/speed", _loopback(speed), methods=["POST"]),
        Route("/_control/limits", _loopback(limits), methods=["PUT", "DELETE"]),
        Route("/_control/requests", _loopback(requests), methods=["GET", "DELETE"]),
    ]


Endpoint = Callable[[Request], Awaitable[Response]]


def _loopback(endpoint: Endpoint) -> Endpoint:
    """Answer only to this machine."""

    async def guarded(request: Request) -> Response:
        if request.client is None or request.client.host not in ("127.0.0.1", "::1"):
            return JSONResponse({"error": {"message": "control is for this machine only"}}, status_code=403)
        return await endpoint(request)

    return guarded
