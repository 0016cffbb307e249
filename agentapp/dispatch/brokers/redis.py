"""Redis and Valkey: one list for each queue and priority, first in, first out."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from kombu.utils.url import parse_url

from agentapp.dispatch.brokers import entries
from agentapp.dispatch.brokers.base import ANSWER_S, Broker, Capabilities, Sees, Waiting

SENTINEL = "agentapp:sentinel"
PROBE_KEY = "agentapp:probe"
PROBE_KEPT_S = 60
_TRANSPORT = "agentapp.dispatch.transport:Transport"


class Redis(Broker):
    capabilities = Capabilities(
        name="Redis or Valkey",
        sees=Sees.OLDEST,
        keeps_priorities=True,
        order="first in, first out",
        longest_delay_s=0,
        tells_of_loss=True,
        remote_control=True,
        notifies=True,
    )
    transports = {"redis": _TRANSPORT, "rediss": _TRANSPORT}

    def short_options(self, url: str) -> dict[str, Any]:
        return {"socket_timeout": ANSWER_S, "socket_connect_timeout": ANSWER_S}

    def settings(self, url: str) -> dict[str, Any]:
        return {
            # The transport reads TLS from the URL; Flower reads it here.
            "broker_use_ssl": parse_url(url).get("ssl") if url else None,
            "worker_disable_prefetch": True,
            "broker_transport_options": {
                # No redelivery by the broker: see agentapp/dispatch/transport.py.
                "ack_emulation": False,
                # Of one priority, the queues of a worker take turns: in a fixed order the first would starve the
                # others.
                "queue_order_strategy": "round_robin",
                "priority_steps": entries.PRIORITY_STEPS,
                "socket_timeout": 15,
                "socket_connect_timeout": 2,
                "socket_keepalive": True,
                "health_check_interval": 25,
            },
        }

    def waiting(self, channel: Any, queue: str, priority: int) -> Waiting:
        with channel.conn_or_acquire() as client:
            return entries.waiting(client.lrange(channel._q_for_pri(queue, priority), -entries.LOOKED_AT, -1))

    def note(self, channel: Any, text: str) -> None:
        with channel.conn_or_acquire() as client:
            client.set(SENTINEL, text)

    def noted(self, channel: Any) -> bytes | None:
        with channel.conn_or_acquire() as client:
            note: bytes | None = client.get(SENTINEL)
        return note

    def probe(self, channel: Any) -> None:
        """One that has become a replica, or whose disk is full, answers a ping: so it has to keep something."""
        with channel.conn_or_acquire() as client:
            client.set(PROBE_KEY, "written by a probe", ex=PROBE_KEPT_S)

    def purge(self, channel: Any, queues: Collection[str]) -> int:
        lists = [channel._q_for_pri(queue, step) for queue in queues for step in entries.PRIORITY_STEPS]

        def count_and_delete(together: Any) -> None:
            for name in lists:
                together.llen(name)
            together.delete(*lists, SENTINEL)

        with channel.conn_or_acquire() as client:
            lengths: list[int] = client.transaction(count_and_delete)
        return sum(lengths[: len(lists)])


BROKER = Redis()
