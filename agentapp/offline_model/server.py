"""The HTTP side: OpenAI's endpoints, paced and failing as told."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from agentapp.offline_model import answers, faults, vectors, wire
from agentapp.offline_model import control as controls
from agentapp.offline_model.control import Control, Rule, requested
from agentapp.offline_model.limits import Refusal

CHAT_MODEL = "offline"
# What answers a request under the fault that was chosen for it, and what counts its tokens and those of its answer.
Respond = Callable[[dict[str, Any], Rule | None], Awaitable[Response]]
Count = Callable[[dict[str, Any]], int]


def app(control: Control) -> Starlette:
    """Build the application around its knobs."""

    async def chat(request: Request) -> Response:
        return await _serve(request, control, lambda body, rule: _chat(control, body, rule), _chat_tokens)

    async def embeddings(request: Request) -> Response:
        return await _serve(request, control, lambda body, rule: _embeddings(body), _embedding_tokens)

    routes = [
        Route("/v1/chat/completions", chat, methods=["POST"]),
        Route("/v1/embeddings", embeddings, methods=["POST"]),
        Route("/v1/models", _models),
        Route("/healthz", _health),
    ]
    if control.enabled:
        routes += controls.routes(control)
    return Starlette(routes=routes, exception_handlers={HTTPException: _http_error})


async def _serve(request: Request, control: Control, respond: Respond, count: Count) -> Response:
    """Read a request and answer it, with what is left of the limits in the headers."""
    raw = (await request.body()).decode(errors="replace")
    try:
        body = _read(raw)
    except answers.BadRequest as error:
        response = _bad_request(error)
    else:
        # Only for a limit of tokens is an answer found twice: what is refused must have been counted too.
        tokens = await run_in_threadpool(_counted, count, body) if "tokens" in control.limits.buckets else 0
        # Nothing may wait from here to the limits: they judge a request at the time that is remembered for it.
        seen = control.record(path=request.url.path, body=body)
        refusal = control.limits.take(tokens=tokens, now_s=seen["at_s"])
        if refusal is not None:
            control.refused += 1
            response = _too_many(refusal)
        else:
            rule = control.take(path=request.url.path, raw=raw, body=body) or requested(body)
            response = await _answer(control, request, body, rule, respond)
        seen["status"] = response.status_code
    for name, value in control.limits.headers().items():
        response.headers.setdefault(name, value)
    return response


def _read(raw: str) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except json.JSONDecodeError as error:
        raise answers.BadRequest(f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise answers.BadRequest("the body must be a JSON object")
    return body


async def _answer(
    control: Control, request: Request, body: dict[str, Any], rule: Rule | None, respond: Respond
) -> Response:
    """Fail as told, else answer."""
    response = await faults.before(rule, request, control) if rule is not None else None
    if response is None:
        try:
            response = await respond(body, rule)
        except answers.BadRequest as error:
            response = _bad_request(error)
    return faults.after(rule, response) if rule is not None else response


def _counted(count: Count, body: dict[str, Any]) -> int:
    """Count what a request costs; one that cannot be answered costs no tokens."""
    try:
        return count(body)
    except answers.BadRequest:
        return 0


def _bad_request(error: answers.BadRequest) -> Response:
    return JSONResponse(wire.error(str(error), param=error.param), status_code=400)


def _too_many(refusal: Refusal) -> Response:
    """Refuse a request that is over a rate limit."""
    milliseconds = math.ceil(refusal.wait_s * 1000)
    headers = {"retry-after": str(math.ceil(milliseconds / 1000)), "retry-after-ms": str(milliseconds)}
    said = wire.error(refusal.message, kind=refusal.name, code="rate_limit_exceeded")
    return JSONResponse(said, status_code=429, headers=headers)


def _chat_tokens(body: dict[str, Any]) -> int:
    return wire.usage(body, answers.answer(body))["total_tokens"]


async def _chat(control: Control, body: dict[str, Any], rule: Rule | None) -> Response:
    """Answer a chat request at once or as a stream, at the speed that is set."""
    answer = await run_in_threadpool(answers.answer, body)
    if rule is not None:
        answer = faults.spoil(rule, answer)
    await control.pause(control.latency_s)
    if body.get("stream"):
        return StreamingResponse(_events(control, body, answer, rule), media_type="text/event-stream")
    if control.tokens_per_s > 0:
        await asyncio.sleep(len(answer.pieces()) / control.tokens_per_s)
    return JSONResponse(await run_in_threadpool(wire.completion, body, answer))


async def _events(control: Control, body: dict[str, Any], answer: wire.Answer, rule: Rule | None) -> AsyncIterator[str]:
    """Write the chunks of a stream as server-sent events."""
    chunks = await run_in_threadpool(wire.chunks, body, answer)
    events = [f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n" for chunk in chunks] + ["data: [DONE]\n\n"]
    told = faults.spoil_events(rule, events)
    if control.tokens_per_s <= 0:
        yield "".join(told)
        return
    clock = asyncio.get_running_loop().time
    started_s = clock()
    for number, event in enumerate(told):
        # Towards a due time, not a nap per chunk: naps add up to a slower stream than the one that was asked for.
        await asyncio.sleep(max(0.0, started_s + number / control.tokens_per_s - clock()))
        yield event


def _texts(body: dict[str, Any]) -> list[str]:
    """Return the texts that a request wants vectors of."""
    given = body.get("input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise answers.BadRequest("input must be a text or a list of texts", param="input")
    return texts


def _embedding_tokens(body: dict[str, Any]) -> int:
    return sum(vectors.count_tokens(text) for text in _texts(body))


async def _embeddings(body: dict[str, Any]) -> Response:
    """Turn the input of a request into vectors."""
    texts = _texts(body)
    encoding = body.get("encoding_format") or "float"
    if encoding not in ("float", "base64"):
        raise answers.BadRequest("encoding_format must be float or base64", param="encoding_format")
    if body.get("dimensions") not in (None, vectors.DIMENSION):
        raise answers.BadRequest(f"this model has {vectors.DIMENSION} dimensions and no other", param="dimensions")
    model = str(body.get("model") or vectors.MODEL)
    return JSONResponse(await run_in_threadpool(wire.embeddings, texts, model=model, encoding=encoding))


async def _models(request: Request) -> Response:
    names = (CHAT_MODEL, vectors.MODEL)
    data = [{"id": name, "object": "model", "created": wire.CREATED, "owned_by": "agentapp"} for name in names]
    return JSONResponse({"object": "list", "data": data})


async def _health(request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _http_error(request: Request, error: Exception) -> Response:
    """Answer 404 and 405 in the API's own shape."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    return JSONResponse(wire.error(f"no {request.method} {request.url.path} here"), status_code=status)
