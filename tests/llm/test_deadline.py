"""One deadline and one size hold for a whole call, whatever a provider sends meanwhile. [F1]"""

from __future__ import annotations

import gzip
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest
from pytest_django import Settings

from agentapp.errors import ModelRefused, TransientError
from agentapp.llm import client, connection
from agentapp.llm.client import Message, Reply
from tests.llm.deadlines import words_at_the_deadline
from tests.llm.odd_server import EVENTS, JSON, Odd, OddServer, chunk, completion

pytestmark = pytest.mark.django_db

GZIP = {**JSON, "Content-Encoding": "gzip"}


def ask(*, timeout_s: float = 0.4, stream: bool = False) -> Reply:
    return client.complete([Message("user", "How many trees?")], timeout_s=timeout_s, stream=stream)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("piece", [b"\n", b" ", b": ping\n\n", b"event: ping\n\n", b"data: \n\n"])
def test_a_provider_that_only_keeps_the_connection_busy_is_left_at_the_deadline(
    odd: OddServer, piece: bytes, streamed: bool
) -> None:
    odd.answer = lambda _: odd.drip(piece)

    assert "its time was over" in words_at_the_deadline(lambda time_s: ask(timeout_s=time_s, stream=streamed))


def test_a_stream_that_goes_on_and_on_ends_at_the_deadline(odd: OddServer) -> None:
    odd.answer = lambda _: odd.drip(f"data: {json.dumps(chunk({'content': 'tree '}))}\n\n".encode())

    words = words_at_the_deadline(lambda time_s: ask(timeout_s=time_s, stream=True))
    assert "still writing when its time was over" in words


@pytest.fixture
def slow_headers(settings: Settings) -> Iterator[None]:
    """A provider that never comes to the end of its headers."""
    stopping = threading.Event()

    def serve(listener: socket.socket) -> None:
        connected, _ = listener.accept()
        with connected:
            connected.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            try:
                while not stopping.wait(0.02):
                    connected.sendall(b"a")
            except OSError:
                # The client has had enough.
                return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        settings.AGENTAPP_MODEL_BASE_URL = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        yield
        stopping.set()
        with suppress(OSError):
            # Where the client's time was over before it came to connect, the thread still waits for it.
            socket.create_connection(listener.getsockname(), timeout=1).close()
        thread.join()


def test_headers_that_never_end_are_left_at_the_deadline(odd: OddServer, slow_headers: None) -> None:
    with pytest.raises(TransientError, match="did not answer in time"):
        ask()


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_a_body_without_an_end_is_left_at_the_longest_that_is_read(odd: OddServer, streamed: bool) -> None:
    def pieces() -> Iterator[bytes]:
        while not odd.stopping.is_set():
            yield b": " + b"x" * 1_000_000 + b"\n"

    odd.answer = lambda _: Odd(pieces, headers=EVENTS)

    with pytest.raises(TransientError, match=f"more than {connection.LONGEST_BODY_BYTES} bytes"):
        ask(timeout_s=60, stream=streamed)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_a_small_body_that_unpacks_to_a_great_one_is_left_as_well(odd: OddServer, streamed: bool) -> None:
    packed = gzip.compress(b" 1,\n" * (connection.LONGEST_BODY_BYTES // 4 + 1))
    odd.answer = lambda _: Odd(packed, headers=GZIP)

    with pytest.raises(TransientError, match=f"more than {connection.LONGEST_BODY_BYTES} bytes"):
        ask(timeout_s=60, stream=streamed)


@pytest.mark.parametrize("status", [500, 400])
def test_a_refusal_without_an_end_is_still_one(odd: OddServer, status: int) -> None:
    odd.answer = lambda _: Odd(lambda: [b"sorry ", *[b"x" * 100_000] * 50], status=status, headers={})

    with pytest.raises((TransientError, ModelRefused), match=f"answered {status}: sorry"):
        ask(timeout_s=20)


def test_a_body_that_is_not_packed_as_it_says_is_described(odd: OddServer) -> None:
    odd.answer = lambda _: Odd(b"no gzip at all", headers=GZIP)

    with pytest.raises(TransientError, match="cannot be unpacked"):
        ask(timeout_s=20)


@pytest.mark.parametrize("status", [301, 302, 307])
def test_a_redirect_is_not_followed_but_named(odd: OddServer, status: int) -> None:
    odd.answer = lambda _: Odd(status=status, headers={"Location": f"{odd.url}/elsewhere"})

    with pytest.raises(ModelRefused, match=rf"redirects \({status}\) to {odd.url}/elsewhere"):
        ask(timeout_s=20)

    assert len(odd.requests) == 1


def test_a_call_has_its_own_time_after_one_that_ran_out(odd: OddServer) -> None:
    odd.answer = lambda _: odd.drip(b" ")
    with pytest.raises(TransientError):
        ask()
    odd.answer = lambda _: Odd(json.dumps(completion({"content": "40"})).encode())

    assert ask(timeout_s=20).text == "40"
