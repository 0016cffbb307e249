"""What a test may ask of the server: to fail, to be slow, to limit its callers, and to tell what it was asked."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from agentapp.offline_model.limits import BadLimits, Limits

FAULTS = ("status", "timeout", "truncate_stream", "malformed_chunk", "malformed_json", "disconnect", "headers")
MATCHES = ("path", "contains", "schema_name", "model")
REMEMBERED = 20_000
HANG_S = 600.0
_GOLDEN = 0.6180339887498949


class BadRule(ValueError):
    """A fault rule that cannot be read; the message says why."""


@dataclass
class Rule:
    """One fault: which requests it hits, how often (None: always), and what happens to them. Times in seconds.

    `share` (0 to 1) lets only that part of the requests fail, and then always unless `times` says otherwise.
    `headers` are added to the answer; the fault of that name does nothing else.
    """

    fault: str
    match: dict[str, str] = field(default_factory=dict)
    times: int | None = 1
    status: int = 500
    retry_after_s: float | None = None
    body: dict[str, Any] | None = None
    delay_s: float | None = None
    share: float | None = None
    headers: dict[str, str] = field(default_factory=dict)
    met: int = field(default=0, init=False)

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

    def is_due(self) -> bool:
        """Say whether the request that was hit fails: each one, or the wanted share, the same ones every time."""
        self.met += 1
        # Steps of the golden ratio are spread evenly and have no period that a caller's own rhythm could fall in with.
        return self.share is None or self.met * _GOLDEN % 1 < self.share


@dataclass
class Control:
    """The knobs of one server process and its memory of requests."""

    latency_s: float = 0.0
    tokens_per_s: float = 0.0
    enabled: bool = False
    rules: list[Rule] = field(default_factory=list)
    count: int = 0
    refused: int = 0
    requests: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    limits: Limits = field(default_factory=Limits)
    _is_changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def pause(self, seconds: float) -> None:
        """Wait for so long, or until a test takes its faults away or sets another speed."""
        if seconds > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._is_changed.wait()

    def forget_faults(self) -> None:
        self.rules.clear()
        self._change()

    def set_speed(self, given: dict[str, Any]) -> None:
        self.latency_s = float(given.get("latency_s", self.latency_s))
        self.tokens_per_s = float(given.get("tokens_per_s", self.tokens_per_s))
        self._change()

    def _change(self) -> None:
        """Let all answers go that wait."""
        self._is_changed.set()
        self._is_changed = asyncio.Event()

    def record(self, *, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Remember a request, for tests only. Its status is None until it is answered."""
        self.count += 1
        arrived = {"number": self.count, "path": path, "body": body, "at_s": time.monotonic(), "status": None}
        if self.enabled:
            self.requests.append(arrived)
        return arrived

    def take(self, *, path: str, raw: str, body: dict[str, Any]) -> Rule | None:
        """Return the first rule by which this request fails and use it up once."""
        for rule in self.rules:
            if rule.hits(path=path, raw=raw, body=body) and rule.is_due():
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


def requested(body: dict[str, Any]) -> Rule | None:
    """Return the fault that a message itself asks for: "[offline model: refuse ticket]" refuses the schema `ticket`.

    It is how the documentation makes a dead letter on purpose. 403, because nobody takes that for a passing fault.
    """
    name = schema_name(body)
    if name is None or f"[offline model: refuse {name}]" not in json.dumps(body.get("messages"), ensure_ascii=False):
        return None
    return Rule("status", status=403, body={"error": {"message": f"told to refuse {name}", "type": "refused"}})


def read_rule(given: Any) -> Rule:
    """Read a rule from JSON.

    Raises:
        BadRule: says what is wrong with it.
    """
    if not isinstance(given, dict) or given.get("fault") not in FAULTS:
        raise BadRule(f"a rule is an object with a fault, one of {', '.join(FAULTS)}")
    match = given.get("match") or {}
    known = {knob.name for knob in fields(Rule) if knob.init}
    unknown = set(given) - known | set(match) - set(MATCHES)
    if unknown:
        raise BadRule(f"unknown in a rule: {', '.join(sorted(unknown))}; match knows {', '.join(MATCHES)}")
    share = given.get("share")
    if share is not None and not (isinstance(share, int | float) and 0 <= share <= 1):
        raise BadRule("the share of requests that fail is a number from 0 to 1")
    headers = given.get("headers") or {}
    if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
        raise BadRule("the headers of a rule are an object of strings")
    times = {} if share is None else {"times": None}
    return Rule(**{**times, **given, "match": match, "headers": headers})


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
            control.forget_faults()
        return JSONResponse([asdict(rule) for rule in control.rules])

    async def speed(request: Request) -> Response:
        control.set_speed(await request.json())
        return JSONResponse({"latency_s": control.latency_s, "tokens_per_s": control.tokens_per_s})

    async def limits(request: Request) -> Response:
        try:
            control.limits.set(await request.json() if request.method == "PUT" else {})
        except (BadLimits, json.JSONDecodeError) as error:
            return JSONResponse({"error": {"message": str(error)}}, status_code=400)
        return JSONResponse(control.limits.shown())

    async def requests(request: Request) -> Response:
        if request.method == "DELETE":
            control.requests.clear()
            control.count = control.refused = 0
        told = {"count": control.count, "refused": control.refused, "requests": list(control.requests)}
        return JSONResponse(told)

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
