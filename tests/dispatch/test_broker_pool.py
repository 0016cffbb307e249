"""A broker that does not answer is asked once for each request, and then left to the circuit breaker."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from celery import current_app

from agentapp.dispatch.broker_pool import BrokerPool

conf: Any = current_app.conf


@contextmanager
def deaf_server() -> Iterator[tuple[str, list[socket.socket]]]:
    """A server that accepts connections and never says a word, as one that is frozen; and who has come."""
    come: list[socket.socket] = []

    def accept() -> None:
        while True:
            try:
                come.append(listener.accept()[0])
            except OSError:
                return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0", come
        listener.shutdown(socket.SHUT_RDWR)
    for connected in come:
        connected.close()


@pytest.mark.parametrize("what", ["producer", "channel"])
def test_a_broker_that_hangs_from_the_start_is_asked_once_each_time(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    with deaf_server() as (url, come):
        monkeypatch.setattr(conf, "broker_write_url", url)
        pool = BrokerPool()
        for asked in (1, 2, 3):
            with pytest.raises(ConnectionError, match="does not answer"), getattr(pool, what)() as lent:
                (lent if what == "channel" else lent.channel).client.ping()
            assert len(come) == asked
            # The time of the circuit breaker is over.
            pool.circuit.succeeded()
