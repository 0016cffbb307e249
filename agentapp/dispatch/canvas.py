"""The one projection of rows onto a Celery canvas, as the messages that start it.

They are what Celery's own `apply_async` writes for the same chain or chord (a test compares them). Building its objects
to take them apart again cost more than writing the messages, most of which never changes.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import uuid4

from celery import current_app

from agentapp.lifecycle.opened import Link, Opened
from agentapp.policies import priority

Json = dict[str, Any]


@dataclass(frozen=True)
class Message:
    """A message of Celery's protocol; `body` is JSON, `priority` the broker's."""

    id: str
    task: str
    queue: str
    priority: int
    headers: Json
    body: str


def messages(opened: Opened) -> list[Message]:
    """Return the messages of what remains: available jobs, then what follows up to the next person or fan-out.

    One job: a chain with the lone jobs after it, the last first. Many: a chord whose body is the job behind the join,
    and no further, because every message of the header carries the body.
    """
    jobs, tail = opened.jobs, opened.tail
    if len(jobs) == 1:
        return [_message(jobs[0], _embedded(chain=[_signature(link) for link in reversed(tail)] or None))]
    if not tail:
        return [_message(job, _embedded()) for job in jobs]
    embedded, group = _embedded(chord=_signature(tail[0])), str(uuid4())
    return [_message(job, embedded, group=group, group_index=index) for index, job in enumerate(jobs)]


def link_of(signature: Json) -> Link:
    """Read a signature that a message of ours has carried along."""
    options = signature["options"]
    return Link(signature["args"][0], signature["task"], options["queue"], priority.of_broker(options["priority"]))


def _message(job: Link, embedded: str, **more: Any) -> Message:
    task_id = str(uuid4())
    changing = {"task": job.type, "id": task_id, "root_id": task_id, "argsrepr": f"({job.id!r},)", **more}
    return Message(
        id=task_id,
        task=job.type,
        queue=job.queue,
        priority=priority.to_broker(job.priority),
        headers=_constant_headers(os.getpid()) | changing,
        body=f"[[{json.dumps(job.id)}], {{}}, {embedded}]",
    )


def _embedded(*, chain: list[Json] | None = None, chord: Json | None = None) -> str:
    return json.dumps({"callbacks": None, "errbacks": None, "chain": chain, "chord": chord})


def _signature(link: Link) -> Json:
    """What `dict(celery.signature(...))` is for one job: its id, and nothing else."""
    return {
        "task": link.type,
        "args": [link.id],
        "kwargs": {},
        "options": {"queue": link.queue, "priority": priority.to_broker(link.priority)},
        "subtask_type": None,
        "immutable": True,
    }


@lru_cache(maxsize=1)
def _constant_headers(pid: int) -> Json:
    """The headers that Celery gives to a task, as far as they are the same for all of one process."""
    headers: Json = current_app.amqp.as_task_v2("", "", ignore_result=True).headers
    return headers
