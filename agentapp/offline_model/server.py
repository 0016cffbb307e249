"""The HTTP side: OpenAI's endpoints, paced and failing as told."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from agentapp.offline_model import answers, faults, vectors, wire
from agentapp.offline_model import control as controls
from agentapp.offline_model.control import Control, Rule

CHAT_MODEL = "offline"
Respond = Callable[[dict[str, Any], Rule | None], Any]


def app(control: Control) -> Starlette:
    """Build the application around its knobs."""

    async def chat(request: Request) -> Response:
        return await _serve(request, control, lambda body, rule: _chat(control, body, rule))

    async def embeddings(request: Request) -> Response:
        return await _serve(request, control, lambda body, rule: _embeddings(body))

    routes = [
        Route("/v1/chat/completions", chat, methods=["POST"]),
        Route("/v1/embeddings", embeddings, methods=["POST"]),
        Route("/v1/models", _models),
        Route("/healthz", _health),
    ]
    if control.enabled:
        routes += controls.routes(control)
    return Starlette(routes=routes, exception_handlers={HTTPException: _http_error})


async def _serve(request: Request, control: Control, respond: Respond) -> Response:
    """Read a request, remember it, fail as told, else answer."""
    raw = (await request.body()).decode(errors="replace")
    try:
        body = json.loads(raw)
    except json.JSONDecodeError as error:
        return JSONResponse(wire.error(f"the body is not JSON: {error}"), status_code=400)
    if not isinstance(body, dict):
        return JSONResponse(wire.error("the body must be a JSON object"), status_code=400)
    control.record(path=request.url.path, body=body)
    wait_s = control.limits.wait_s()
    if wait_s:
        control.refused()
        return _too_many(control, wait_s)
    rule = control.take(path=request.url.path, raw=raw, body=body)
    if rule is not None:
        failed = await faults.before(rule, request)
        if failed is not None:
            return failed
    try:
        response: Response = await respond(body, rule)
    except answers.BadRequest as error:
        return JSONResponse(wire.error(str(error), param=error.param), status_code=400)
    response.headers.update(control.limits.headers())
    return faults.after(rule, response) if rule is not None else response


def _too_many(control: Control, wait_s: float) -> Response:
    """Refuse a request that is over a rate limit."""
    headers = {"retry-after": str(math.ceil(wait_s)), "retry-after-ms": str(math.ceil(wait_s * 1000))}
    said = wire.error("Rate limit reached. Try again later.", kind="rate_limit_exceeded")
    return JSONResponse(said, status_code=429, headers=headers | control.limits.headers())


async def _chat(control: Control, body: dict[str, Any], rule: Rule | None) -> Response:
    """Answer a chat request at once or as a stream, at the speed that is set."""
    answer = await run_in_threadpool(answers.answer, body)
    if rule is not None:
        answer = faults.spoil(rule, answer)
    control.limits.used(wire.usage(body, answer)["total_tokens"])
    await asyncio.sleep(control.latency_s)
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


async def _embeddings(body: dict[str, Any]) -> Response:
    """Turn the input of a request into vectors."""
    given = body.get("input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise answers.BadRequest("input must be a text or a list of texts", param="input")
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
