"""The ways in which a provider fails, done to a request on purpose."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from agentapp.offline_model import wire
from agentapp.offline_model.control import HANG_S, Control, Rule


class Cut(Response):
    """A response that promises more than it sends: the server then closes the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"application/json"), (b"content-length", b"100000")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b'{"id": "', "more_body": True})


async def before(rule: Rule, request: Request, control: Control) -> Response | None:
    """Fail before anything is computed; None when this fault comes later."""
    if rule.fault == "timeout":
        await _hang(request, rule.delay_s or HANG_S)
        return JSONResponse(wire.error("the model took too long", kind="server_error"), status_code=504)
    await control.pause(rule.delay_s or 0)
    if rule.fault == "status":
        headers = {} if rule.retry_after_s is None else {"Retry-After": f"{rule.retry_after_s:g}"}
        body = rule.body if rule.body is not None else wire.error(f"told to answer {rule.status}", kind="fault")
        return JSONResponse(body, status_code=rule.status, headers=headers)
    return Cut() if rule.fault == "disconnect" else None


def spoil(rule: Rule, answer: wire.Answer) -> wire.Answer:
    """Break the answer itself: half a text is no JSON any more."""
    if rule.fault != "malformed_json":
        return answer
    return wire.Answer(text=answer.text[: len(answer.text) // 2], finish_reason=answer.finish_reason)


def spoil_events(rule: Rule | None, events: list[str]) -> Iterator[str]:
    """Break a stream in its middle: it ends there, or one chunk is garbled."""
    middle = len(events) // 2
    for number, event in enumerate(events):
        if rule is not None and number == middle:
            if rule.fault == "truncate_stream":
                return
            if rule.fault == "malformed_chunk":
                yield 'data: {"id": "chatcmpl-broken", "choices": [{"delta"\n\n'
                continue
        yield event


def after(rule: Rule, response: Response) -> Response:
    """Break a response that does not stream as a stream would break, cut off or garbled, and add the rule's headers."""
    response = _broken(rule, response)
    response.headers.update(rule.headers)
    return response


def _broken(rule: Rule, response: Response) -> Response:
    body = getattr(response, "body", None)
    if not isinstance(body, bytes) or rule.fault not in ("truncate_stream", "malformed_chunk"):
        return response
    if rule.fault == "truncate_stream":
        return Cut()
    return Response(body[: len(body) // 2], media_type="application/json")


async def _hang(request: Request, delay_s: float) -> None:
    """Wait, but no longer than the client does: a forgotten wait would hold up the end of the server."""
    try:
        async with asyncio.timeout(delay_s):
            while (await request.receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return
