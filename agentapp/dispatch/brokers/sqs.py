"""Amazon SQS, by kombu's transport: standard queues, made when they are first used."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from agentapp.dispatch.brokers.base import ANSWER_S, Broker, Capabilities, Sees

# How long a look waits for a message, and how long a worker rests between two looks.
LOOK_S, REST_S = 10, 0.1
# A message that a worker has taken and not begun, because it was killed in between, is delivered again after so long.
HIDDEN_S = 60
LONGEST_DELAY_S = 900


class SQS(Broker):
    capabilities = Capabilities(
        name="SQS",
        sees=Sees.NOTHING,
        keeps_priorities=False,
        order="about first in, first out",
        longest_delay_s=LONGEST_DELAY_S,
        extra="sqs",
        modules=("boto3", "pycurl"),
    )
    transports = {"sqs": "agentapp.dispatch.brokers.sqs_transport:Transport"}

    def settings(self, url: str) -> dict[str, Any]:
        return {
            "broker_url": urlunsplit(urlsplit(url)._replace(path="", query="")),
            "worker_disable_prefetch": False,
            "broker_transport_options": _options(url),
        }

    def short_options(self, url: str) -> dict[str, Any]:
        waits = {"connect_timeout": 2 * ANSWER_S, "read_timeout": 4 * ANSWER_S, "retries": {"total_max_attempts": 1}}
        return {"client-config": waits, "wait_time_seconds": 0}

    def probe(self, channel: Any) -> None:
        channel.sqs().list_queues(QueueNamePrefix=channel.queue_name_prefix, MaxResults=1)

    def purge(self, channel: Any, queues: Collection[str]) -> int:
        """Message by message: SQS itself empties a queue once a minute at most."""
        return sum(1 for queue in queues for _ in _taken(channel, queue))


def _taken(channel: Any, queue: str) -> Iterator[None]:
    while (message := channel.basic_get(queue)) is not None:
        channel.basic_ack(message.delivery_tag)
        yield


def _options(url: str) -> dict[str, Any]:
    given = dict(parse_qsl(urlsplit(url).query))
    return {
        "region": given["region"],
        "queue_name_prefix": given.get("prefix", ""),
        "is_secure": given.get("tls", "1") == "1",
        "wait_time_seconds": int(given.get("wait_s", LOOK_S)),
        "polling_interval": REST_S,
        "visibility_timeout": HIDDEN_S,
    }


BROKER = SQS()
