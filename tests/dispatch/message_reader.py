"""The broker from outside: what lies in its lists, and delivery of one message at a time in this process."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

import redis
from celery import current_app
from celery.worker.request import Request

from agentapp.dispatch.celery_conf import settings
from agentapp.policies.permissions import WORKER_CLASS_SCOPES
from tests.harness import be_a_worker

Json = dict[str, Any]

# Between a queue's name and a priority, in the name of kombu's list for it.
_SEPARATOR = "\x06\x16"


@dataclass(frozen=True)
class Letter:
    """A Celery message as it lies in a list; `raw` is all of it as text, with its body decoded."""

    id: str
    queue: str
    priority: int
    task: str
    args: list[Any]
    kwargs: Json
    group: str | None
    chain: list[Json] | None
    chord: Json | None
    raw: str

    @classmethod
    def read(cls, queue: str, entry: bytes) -> Letter:
        envelope = json.loads(entry)
        headers, properties = envelope["headers"], envelope["properties"]
        assert (envelope["content-type"], properties["body_encoding"]) == ("application/json", "base64")
        body = base64.b64decode(envelope["body"]).decode()
        args, kwargs, embedded = json.loads(body)
        return cls(
            id=headers["id"], queue=queue, priority=properties["priority"], task=headers["task"],
            args=args, kwargs=kwargs,
            group=headers["group"], chain=embedded["chain"], chord=embedded["chord"],
            raw=json.dumps({**envelope, "body": body}),
        )  # fmt: skip


class MessageReader:
    """`seen` are all letters that were ever looked at or delivered."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self.seen: list[Letter] = []
        be_a_worker()

    def waiting(self) -> list[Letter]:
        """Return what lies in the lists of all queues, without taking it."""
        found = [letter for queue in WORKER_CLASS_SCOPES for name in lists(queue) for letter in self._read(queue, name)]
        self.seen += found
        return found

    def tasks(self) -> list[str]:
        """The names of the tasks that wait, sorted."""
        return sorted(letter.task for letter in self.waiting())

    def photocopy(self) -> int:
        """Put every waiting message in once more, byte for byte, and return how many there are now."""
        for queue in WORKER_CLASS_SCOPES:
            for name in lists(queue):
                entries = self._entries(name)
                if entries:
                    self._client.rpush(name, *entries)
        return len(self.waiting())

    def deliver(self, queue: str) -> str:
        """Take the next message of a queue and run it as a worker does, canvas and all. Returns its result."""
        self.waiting()
        with current_app.connection_for_read() as connection:
            channel: Any = connection.default_channel
            message = channel.basic_get(queue, no_ack=True)
            assert message is not None, f"no message waits in {queue}"
            request: Any = Request(message, app=current_app, hostname="message_reader@test")
            return str(request.execute())

    def deliver_all(self) -> list[str]:
        """Deliver until nothing waits; return the results in order."""
        results = []
        while letters := self.waiting():
            results.append(self.deliver(letters[0].queue))
        return results

    def _entries(self, name: str) -> list[bytes]:
        entries: list[bytes] = self._client.lrange(name, 0, -1)  # type: ignore[assignment]  # the stubs know async too
        return entries

    def _read(self, queue: str, name: str) -> list[Letter]:
        return [Letter.read(queue, entry) for entry in self._entries(name)]


def lists(queue: str) -> list[str]:
    """The names of a queue's lists, the most urgent first."""
    steps = settings()["broker_transport_options"]["priority_steps"]
    return [f"{queue}{_SEPARATOR}{step}" if step else queue for step in steps]
