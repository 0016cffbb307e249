"""Queues in Postgres, by kombu's transport for SQLAlchemy: for small installations, with no server but Postgres."""

from __future__ import annotations

import base64
import json
from typing import Any

from agentapp.dispatch.brokers.base import Broker, Capabilities, Sees, Waiting
from agentapp.dispatch.receiving import UNREADABLE
from agentapp.policies import priority

# Between two looks of a worker without work.
LOOK_EVERY_S = 0.2
LOOKED_AT = 8
PROBE_QUEUE = "agentapp.probe"
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
        entries = channel.oldest(queue, priority, LOOKED_AT)
        return Waiting(len(entries), tuple(job for job in map(_job_id, entries) if job))

    def probe(self, channel: Any) -> None:
        """A server that has become a replica can be read."""
        channel.queue_purge(PROBE_QUEUE)
        channel.basic_publish(channel.prepare_message("written by a probe"), "", PROBE_QUEUE)


def steps() -> list[int]:
    """The broker's priorities, the most urgent first."""
    return [priority.to_broker(level) for level in range(len(priority.NAMES))]


def _job_id(entry: str) -> str | None:
    """Read the job of a message; None for what is no message of ours."""
    try:
        return str(json.loads(base64.b64decode(json.loads(entry)["body"]))[0][0])
    except UNREADABLE:
        return None


BROKER = Postgres()
