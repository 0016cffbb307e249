"""The handler of the web process: one thread for each request, and none for what only waits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, MutableMapping
from io import BytesIO
from typing import Any

import pytest
from django.db import connection
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path
from pytest_django import Settings

from agentapp.models import Tenant
from config.handler import THREADS, Handler

Message = MutableMapping[str, Any]
READ: list[int] = []
HELD = threading.Barrier(THREADS + 1)
LET_GO = threading.Event()
OVER: list[str] = []
HELD_SESSIONS: list[Any] = []


def slow(request: HttpRequest) -> HttpResponse:
    HELD.wait(30)
    LET_GO.wait(30)
    return HttpResponse("done")


def pieces(request: HttpRequest) -> StreamingHttpResponse:
    def read() -> Iterator[bytes]:
        for number in range(5):
            READ.append(number)
            yield b"%d" % number

    response = StreamingHttpResponse(read(), headers={"Content-Type": "text/plain", "X-Sample": "yes"})
    response.set_cookie("sample", "1")
    response._resource_closers.append(lambda: OVER.append("closed"))  # type: ignore[attr-defined]
    return response


def probe(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.path)


def broken(request: HttpRequest) -> HttpResponse:
    Tenant.objects.exists()
    HELD_SESSIONS.append(connection.connection)
    raise ValueError("of the view")


def leaving_later(request: HttpRequest) -> StreamingHttpResponse:
    def read() -> Iterator[bytes]:
        yield b"0"
        raise SystemExit

    return StreamingHttpResponse(read())


def handler500(request: HttpRequest) -> HttpResponse:
    raise ValueError("of the page that tells of it")


urlpatterns = [
    path("broken", broken),
    path("slow", slow),
    path("pieces", pieces),
    path("healthz", probe),
    path("leaving-later", leaving_later),
]


@pytest.fixture
def handler(settings) -> Handler:
    settings.ROOT_URLCONF = __name__
    settings.MIDDLEWARE = []
    return Handler()


async def ask(
    handler: Handler, address: str, *, query: bytes = b"", sent: Callable[[Message], Any] | None = None
) -> list[Message]:
    got: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        got.append(message)
        if sent:
            await sent(message)

    scope = {
        "type": "http", "method": "GET", "path": address, "query_string": query, "headers": [(b"host", b"localhost")],
        "scheme": "http", "server": ("localhost", 80), "client": ("127.0.0.1", 1), "root_path": "",
    }  # fmt: skip
    await handler(scope, receive, send)
    return got


def test_a_streamed_response_is_read_as_its_client_takes_it(handler: Handler) -> None:
    READ.clear()
    OVER.clear()
    ahead: list[int] = []

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.body" and message.get("body"):
            ahead.append(len(READ))

    got = asyncio.run(ask(handler, "/pieces", sent=sent))

    assert ahead == [1, 2, 3, 4, 5]
    assert b"".join(message.get("body", b"") for message in got) == b"01234"
    head = dict(got[0]["headers"])
    assert got[0]["status"] == 200 and head[b"X-Sample"] == b"yes" and head[b"Set-Cookie"].startswith(b"sample=1")
    assert OVER == ["closed"] and not got[-1].get("more_body")


@pytest.mark.parametrize("charset", ["charset=latin-1", "charset=zlib", "charset=undefined", "charset*=utf-8''a%00b"])
def test_forms_are_read_as_utf_8_whatever_they_declare(handler: Handler, charset: str) -> None:
    form = '--B\r\nContent-Disposition: form-data; name="title"\r\n\r\nGrüße\r\n--B--\r\n'.encode()
    declared = f"multipart/form-data; boundary=B; {charset}"
    scope = {
        "method": "POST", "path": "/title", "query_string": b"",
        "headers": [(b"content-type", declared.encode()), (b"content-length", b"%d" % len(form))],
    }  # fmt: skip

    request, _ = handler.create_request(scope, BytesIO(form))

    assert request is not None and request.POST.dict() == {"title": "Grüße"}


def test_a_client_that_goes_away_ends_what_is_read_for_it(handler: Handler) -> None:
    READ.clear()
    OVER.clear()

    async def sent(message: Message) -> None:
        if message.get("body"):
            raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        asyncio.run(ask(handler, "/pieces", sent=sent))

    assert READ == [0] and OVER == ["closed"]


def test_probes_are_answered_while_all_threads_are_in_use(handler: Handler) -> None:
    async def all_at_once() -> tuple[list[Message], bool, list[list[Message]]]:
        busy = [asyncio.create_task(ask(handler, "/slow")) for _ in range(THREADS)]
        await asyncio.to_thread(HELD.wait, 30)
        later = asyncio.create_task(ask(handler, "/pieces"))
        probed = await ask(handler, "/healthz")
        waits = not later.done()
        LET_GO.set()
        return probed, waits, await asyncio.gather(*busy, later)

    probed, waits, rest = asyncio.run(all_at_once())

    assert probed[1]["body"] == b"/healthz" and waits
    assert [got[0]["status"] for got in rest] == [200] * (THREADS + 1)


@pytest.mark.django_db(transaction=True)
def test_a_request_that_cannot_even_be_told_of_gives_its_connection_back(handler: Handler) -> None:
    HELD_SESSIONS.clear()

    with pytest.raises(ValueError, match="of the page"):
        asyncio.run(ask(handler, "/broken"))

    assert HELD_SESSIONS and HELD_SESSIONS[0].closed


@pytest.mark.parametrize("by", [b"exit", b"interrupt"])
def test_a_view_that_wants_to_end_the_process_is_an_error_like_any_other(
    settings: Settings, caplog: pytest.LogCaptureFixture, by: bytes
) -> None:
    settings.ROOT_URLCONF = "tests.api.broken_urls"

    got = asyncio.run(ask(Handler(), "/leaving", query=b"by=" + by))

    assert got[0]["status"] == 500 and dict(got[0]["headers"])[b"Content-Type"] == b"application/problem+json"
    assert "Internal error" in got[1]["body"].decode()
    assert "wanted to end the process" in caplog.text


def test_a_response_that_wants_to_end_the_process_ends_alone(handler: Handler) -> None:
    async def both() -> tuple[Any, list[Message]]:
        (failed,) = await asyncio.gather(ask(handler, "/leaving-later"), return_exceptions=True)
        return failed, await ask(handler, "/pieces")

    failed, next_one = asyncio.run(both())

    assert "wanted to end the process" in str(failed)
    assert next_one[0]["status"] == 200
