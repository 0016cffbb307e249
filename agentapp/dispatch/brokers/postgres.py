"""Queues in Postgres, by kombu's transport for SQLAlchemy: for small installations, with no server but Postgres."""

from __future__ import annotations

from typing import Any

from agentapp.dispatch.brokers import entries
from agentapp.dispatch.brokers.base import PROBE, Broker, Capabilities, Sees, Waiting

# Between two looks of a worker without work.
LOOK_EVERY_S = 0.2
_DRIVER = "postgresql+psycopg"


class Postgres(Broker):
    capabilities = Capabilities(
        name="Postgres",
        sees=Sees.OLDEST,
        keeps_priorities=True,
        order="first in, first out",
        longest_delay_s=0,
        extra="sqlalchemy",
        modules=("sqlalchemy",),
    )
    transports = {"sqla": "agentapp.dispatch.brokers.postgres_transport:Transport"}

    def settings(self, url: str) -> dict[str, Any]:
        return {
            "broker_url": f"sqla+{_DRIVER}://{url.partition('://')[2]}",
            "worker_disable_prefetch": False,
            "broker_transport_options": {"polling_interval": LOOK_EVERY_S},
        }

    def waiting(self, channel: Any, queue: str, priority: int) -> Waiting:
        return entries.waiting(channel.oldest(queue, priority, entries.LOOKED_AT))

    def probe(self, channel: Any) -> None:
        """A server that has become a replica can be read."""
        channel.queue_purge(PROBE)
        channel.basic_publish(channel.prepare_message("written by a probe"), "", PROBE)


BROKER = Postgres()
