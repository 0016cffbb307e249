"""Providers that rows name: how many are remembered, how long connecting takes, what they may call themselves. [C7]"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import httpcore2
import pytest
from pytest_django import Settings

from agentapp.delivery.guarded_http import Guard
from agentapp.errors import AgentappError
from agentapp.llm import client, connection, guarded
from agentapp.llm.answers import Message
from agentapp.llm.connection import Provider
from tests.llm.odd_server import OddServer, completion, whole

pytestmark = [pytest.mark.django_db]


def ask(**more: Any) -> Any:
    return client.complete([Message("user", "Say something.")], timeout_s=20, **more)


def test_of_ten_thousand_providers_the_last_ones_are_remembered() -> None:
    connection._forget_clients()
    made = [connection._client(Provider(f"http://127.0.0.1:{port}/v1", "")) for port in range(2_000, 2_070)]

    assert len(connection._process.clients) == connection.MOST_CLIENTS
    assert connection._client(Provider("http://127.0.0.1:2069/v1", "")) is made[-1]
    connection._forget_clients()


class SilentBackend(httpcore2.NetworkBackend):
    """No address answers; each is waited for as long as it may be."""

    def __init__(self) -> None:
        self.waits: list[float | None] = []

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:  # fmt: skip
        self.waits.append(timeout)
        raise httpcore2.ConnectTimeout


def test_addresses_that_do_not_answer_share_the_time_to_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    ten = [f"93.184.216.{number}" for number in range(10)]
    monkeypatch.setattr(guarded, "guard", lambda: Guard(resolve=lambda host, port: ten))
    silent = SilentBackend()

    with pytest.raises(httpcore2.ConnectTimeout):
        guarded.GuardedBackend(silent, "https://llm.example.org/v1").connect_tcp("llm.example.org", 443, 600.0)

    # None of them takes time here: each may have an equal share of what is left.
    assert len(silent.waits) == 10 and all(wait is not None and wait <= 600.0 for wait in silent.waits)
    assert silent.waits[0] is not None and silent.waits[0] <= 60.0


def test_nobody_is_free_because_it_calls_itself_so(odd: OddServer) -> None:
    answered = whole({**completion({"content": "Yes."}), "model": "offline"})
    odd.answer = lambda _: answered

    reply = ask()

    assert (reply.model, reply.cost_usd, reply.cost_known) == ("offline", 0, False)


@pytest.mark.parametrize("stream", [False, True])
def test_a_key_that_is_quoted_in_an_answer_of_status_200_is_not_kept(
    odd: OddServer, settings: Settings, stream: bool
) -> None:
    settings.AGENTAPP_MODEL_API_KEY = "a-secret-of-the-platform"
    refused = whole({"error": {"message": "a-secret-of-the-platform is not known here"}})
    odd.answer = lambda _: refused

    with pytest.raises(AgentappError) as caught:
        ask(stream=stream)

    assert "is not known here" in str(caught.value) and "a-secret" not in str(caught.value)
