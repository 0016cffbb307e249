"""A process on the broker of BROKER_URL: it publishes, looks, takes and throws away, prints what it found as JSON, and
submits tasks.

A process of its own, because the packages of some brokers are not in this environment.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar
from uuid import uuid4

T = TypeVar("T")
TRIES = 60
# Of no worker in these tests.
QUEUE = "model"
# As jobs have them: 0 is the most urgent.
PUBLISHED = (3, 1, 0, 2, 3, 0)
# How many tasks to submit, with so many parts each, and by which key.
TASKS, PARTS, KEY = "TASKS", "PARTS", "KEY"


def patiently(question: Callable[[], T]) -> T:
    """Ask a broker that has half a second to answer, on a machine that may be busy with other things."""
    for _ in range(TRIES):
        try:
            return question()
        except ConnectionError:
            time.sleep(1)
    return question()


def main() -> dict[str, Any]:
    import django

    from config.celery import app

    django.setup()
    from agentapp.dispatch import broker
    from agentapp.dispatch.publisher import Batch
    from agentapp.lifecycle.opened import Link, Opened
    from agentapp.policies import priority

    def publish(levels: tuple[int, ...]) -> list[str]:
        """Into an empty queue; of what was sent in part, nothing stays."""
        while True:
            patiently(partial(broker.purge, [QUEUE]))
            batch, ids = Batch(), [str(uuid4()) for _ in levels]
            for job, level in zip(ids, levels, strict=True):
                batch.add(Opened((Link(job, "chaos_read", QUEUE, level),)))
            if batch.send():
                return ids

    def look() -> list[tuple[int, list[str], bool]]:
        levels = [priority.to_broker(level) for level in range(len(priority.NAMES))]
        found = [patiently(partial(broker.waiting, QUEUE, level)) for level in levels]
        return [(each.count, sorted(each.oldest), each.is_known) for each in found]

    def take(most: int) -> list[str]:
        taken: list[str] = []
        with app.connection_for_read() as connection:
            queue = app.amqp.queues[QUEUE](connection.default_channel)
            while len(taken) < most and (message := queue.get()) is not None:
                message.ack()
                taken.append(json.loads(message.body or "")[0][0])
        return taken

    patiently(broker.probe)
    patiently(partial(broker.purge, [QUEUE]))
    empty, ids = look(), publish(PUBLISHED)
    full, taken = look(), take(len(ids))
    publish(PUBLISHED)
    patiently(partial(broker.purge, [QUEUE]))
    return {"empty": empty, "ids": ids, "full": full, "taken": taken, "purged": look(), "tasks": submit()}


def submit() -> list[str]:
    from agentapp.models import ApiKey
    from agentapp.services import principals, workflows

    principal = principals.of_key(ApiKey.objects.get(prefix=os.environ[KEY]))
    parts = list(range(int(os.environ[PARTS])))
    tasks = [workflows.submit(principal, kind="carried", input={"parts": parts}) for _ in range(int(os.environ[TASKS]))]
    others = [
        workflows.submit(principal, kind=kind, input=input)
        for kind, input in (("fails_in_a_child", {}), ("held_children", {"jobs": [1, 2], "gate": "nobody lets go"}))
    ]
    return [str(task.pk) for task in (*tasks, *others)]


if __name__ == "__main__":
    json.dump(main(), sys.stdout)
