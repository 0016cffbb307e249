"""Clients of the openai library for agent frameworks, whose requests are answered in this process.

They have a placeholder for a key and an address that leads nowhere: nothing that a framework does with such a client
reaches a provider but through `answer`.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from typing import Any

import httpx2
import openai
from openai import AsyncOpenAI as AsyncOpenAI
from openai import OpenAI as OpenAI

from agentapp.errors import (
    AgentappError,
    BudgetUsedUp,
    DayUsedUp,
    ModelRefused,
    PermanentError,
    PermissionDenied,
    QuotaExhausted,
    RateLimited,
)
from agentapp.llm import relayed
from agentapp.llm.relayed import Request

# A name that no resolver knows, in case a framework connects by itself.
BASE_URL = "http://model.invalid/v1"
KEY = "agentapp-gives-no-key"
# Where an answer keeps the error that it was made from.
ERROR = "agentapp_error"

# The OpenAI Agents SDK sends what is said to its maker, with the key of the environment, unless it is told not to.
os.environ.setdefault("OPENAI_AGENTS_DISABLE_TRACING", "true")

Json = dict[str, Any]
Answer = Callable[[Request], Json]


def client(answer: Answer) -> openai.OpenAI:
    """Return a client whose requests are answered by `answer`, in the thread that makes them."""
    http_client = httpx2.Client(transport=_Transport(answer), trust_env=False)
    return openai.OpenAI(base_url=BASE_URL, api_key=KEY, max_retries=0, http_client=http_client)


def async_client(answer: Answer) -> openai.AsyncOpenAI:
    """Return the same for asyncio: `answer` is called in threads beside the event loop."""
    http_client = httpx2.AsyncClient(transport=_AsyncTransport(answer), trust_env=False)
    return openai.AsyncOpenAI(base_url=BASE_URL, api_key=KEY, max_retries=0, http_client=http_client)


def error_behind(error: BaseException) -> AgentappError | None:
    """Return the error of ours that a framework's exception comes from, or None."""
    seen: set[int] = set()
    open_ends: list[BaseException | None] = [error]
    while open_ends:
        at = open_ends.pop(0)
        if at is None or id(at) in seen:
            continue
        seen.add(id(at))
        extensions = getattr(getattr(at, "response", None), "extensions", None)
        found = extensions.get(ERROR) if isinstance(extensions, dict) else None
        if isinstance(found, AgentappError):
            return found
        # A framework that asks side by side may raise a group.
        open_ends += [at.__cause__ or at.__context__, *getattr(at, "exceptions", ())]
    return None


class _Transport(httpx2.BaseTransport):
    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        request.read()
        return _response(request, self._answer)


class _AsyncTransport(httpx2.AsyncBaseTransport):
    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        await request.aread()
        return await asyncio.to_thread(_response, request, self._answer)


def _response(request: httpx2.Request, answer: Answer) -> httpx2.Response:
    try:
        asked = _read(request)
        found = answer(asked)
    except AgentappError as error:
        return _refusal(error)
    if not asked.is_streamed:
        return httpx2.Response(200, json=found)
    stream = b"".join(relayed.events(found, tells_usage=asked.tells_usage))
    return httpx2.Response(200, content=stream, headers={"Content-Type": "text/event-stream"})


def _read(request: httpx2.Request) -> Request:
    base = httpx2.URL(BASE_URL)
    if (request.url.scheme, request.url.host) != (base.scheme, base.host):
        raise ModelRefused(f"A model client of agentapp reaches the model of its job, and not {request.url.host}.")
    if (request.method, request.url.path) != ("POST", f"{base.path}/chat/completions"):
        raise ModelRefused(
            f"A model client of agentapp answers POST /chat/completions, and not {request.method} {request.url.path}: "
            "set the framework to chat completions."
        )
    try:
        return Request.of(json.loads(request.content))
    except (ValueError, RecursionError) as error:
        raise ModelRefused(f"The request is no JSON: {error}") from error


def _refusal(error: AgentappError) -> httpx2.Response:
    """Write an error as a provider would say it, and that asking again is of no use: the retry policy does that."""
    status, code = _status(error)
    body = {"error": {"message": str(error), "type": type(error).__name__, "code": code, "param": None}}
    return httpx2.Response(status, json=body, headers={"x-should-retry": "false"}, extensions={ERROR: error})


def _status(error: AgentappError) -> tuple[int, str | None]:
    if isinstance(error, RateLimited):
        return 429, "rate_limit_exceeded"
    if isinstance(error, QuotaExhausted | BudgetUsedUp | DayUsedUp):
        return 429, "insufficient_quota"
    if isinstance(error, PermissionDenied):
        return 403, None
    return (400, None) if isinstance(error, PermanentError) else (503, None)
