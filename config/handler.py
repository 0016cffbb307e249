"""Django under ASGI, with each request in one thread of a pool.

Django's own handler begins a thread for each request, and changes between it and the event loop around every piece of
middleware: more than half of what accepting a task had cost. All of ours is synchronous, and streams are sent by
others, so one change there and one back are enough.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.core import signals
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, ASGIRequest, get_script_prefix
from django.db import connections
from django.http import FileResponse, HttpResponse
from django.urls import set_script_prefix
from django.utils.http import parse_header_parameters

from agentapp.api import routes
from agentapp.services.request_counts import OTHER, request_counts
from agentapp.streams import handover
from config.middleware import PROBES

# A few wait for a slow store or a model; the others must still find a thread. They share the connections of the pool.
THREADS = 64
# Probes are answered also while all other threads are in use.
PROBE_THREADS = 2


class EndOfProcess(RuntimeError):
    """Something within a request has called `sys.exit`, or raised KeyboardInterrupt."""


class Request(ASGIRequest):
    """A request whose addresses and forms are UTF-8, whatever character set its body declares.

    That may be of a file, or one that Django fails over.
    """

    def _set_content_type_params(self, meta: Any) -> None:
        try:
            self.content_type, self.content_params = parse_header_parameters(meta.get("CONTENT_TYPE", ""))
        except ValueError:
            self.content_type, self.content_params = meta["CONTENT_TYPE"].partition(";")[0].strip(), {}


class Handler(ASGIHandler):
    """Answers requests over HTTP. A client that goes away does not stop what it has asked for."""

    request_class = Request

    def __init__(self) -> None:
        super().__init__()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="request")
        self._probe_threads = ThreadPoolExecutor(PROBE_THREADS, thread_name_prefix="probe")

    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async=False)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        threads = self._probe_threads if scope["path"].rstrip("/").endswith(PROBES) else self._threads
        loop = asyncio.get_running_loop()
        response = await loop.run_in_executor(threads, self._answer, scope, body, time.monotonic())
        if not response.streaming:
            await self.send_response(response, send)
            return
        try:
            await self._stream(response, send, threads)
        finally:
            await loop.run_in_executor(threads, response.close)

    def _get_response(self, request: Any) -> Any:
        try:
            return super()._get_response(request)  # type: ignore[misc]
        except (SystemExit, KeyboardInterrupt) as error:
            # Signals come to the main thread, never here: a library has given up. In the event loop either would end
            # the process with all of its other requests.
            raise EndOfProcess("a view wanted to end the process") from error

    def _answer(self, scope: Any, body: Any, arrived_s: float) -> Any:
        """Do all of a request; what is answered needs neither this thread nor its connection any more."""
        set_script_prefix(get_script_prefix(scope))
        signals.request_started.send(sender=self.__class__, scope=scope)
        request, refusal = self.create_request(scope, body)
        response: Any = refusal
        try:
            if request is not None:
                response = self.get_response(request)
                response._handler_class = self.__class__
        finally:
            _count(scope, request, response, seconds=time.monotonic() - arrived_s)
            if response is None:
                # Nothing else tells that this request is over, and its thread may not have another one for long.
                connections.close_all()
                body.close()
        if isinstance(response, FileResponse):
            response.block_size = self.chunk_size
        if response.streaming:
            connections.close_all()
        else:
            response.close()
        body.close()
        return response

    async def _stream(self, response: Any, send: Any, threads: ThreadPoolExecutor) -> None:
        """Send a response piece by piece, as its client takes it; a thread reads each, for that may take a while."""
        if response.is_async:
            await self.send_response(response, send)
            return
        head = HttpResponse(status=response.status_code, headers=dict(response.items()))
        head.cookies = response.cookies

        async def send_head(message: Any) -> None:
            if message["type"] == "http.response.start":
                await send(message)

        await self.send_response(head, send_head)
        loop, pieces = asyncio.get_running_loop(), iter(response)
        while (piece := await loop.run_in_executor(threads, _next, pieces)) is not None:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})


def _count(scope: Any, request: ASGIRequest | None, response: Any, *, seconds: float) -> None:
    """Count what was answered, from when all of the request was here. One that waits for news is asked again."""
    asked = scope.get(handover.KEY)
    route = OTHER if request is None else routes.of(request)
    if route is not None and not (asked and asked.wait):
        status = 500 if response is None else response.status_code
        request_counts.add(method=scope["method"], route=route, status=status, seconds=seconds)


def _next(pieces: Any) -> Any:
    """Return the next piece of a response, or None behind the last one."""
    try:
        return next(pieces, None)
    except (SystemExit, KeyboardInterrupt) as error:
        raise EndOfProcess("a response wanted to end the process") from error
