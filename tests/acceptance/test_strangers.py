"""Anybody who reaches the broker can write into it. A worker outlives that, and rows do not change."""

from __future__ import annotations

import base64
import json
import pickle
from typing import Any
from uuid import uuid4

import pytest

from agentapp.models import History, Job
from tests.acceptance.deployment import ALIAS, Deployment, until
from tests.dispatch.message_reader import lists

pytestmark = pytest.mark.acceptance


def message(task: Any, args: Any, *, content_type: str = "application/json", body: bytes | None = None) -> str:
    """A message as kombu writes it into a list."""
    content = json.dumps([args, {}, {}]).encode() if body is None else body
    return json.dumps(
        {
            "body": base64.b64encode(content).decode(),
            "content-encoding": "utf-8",
            "content-type": content_type,
            "headers": {"lang": "py", "task": task, "id": str(uuid4()), "group": None, "origin": "a stranger"},
            "properties": {
                "delivery_tag": str(uuid4()), "delivery_mode": 2, "priority": 0, "body_encoding": "base64",
                "delivery_info": {"exchange": "", "routing_key": "model"},
            },
        }
    )  # fmt: skip


def strange_messages(job: Job) -> dict[str, str | bytes]:
    """What a stranger may write, about a job that is done."""
    type, done = job.type, str(job.pk)
    bare = json.loads(message(type, [done]))
    return {
        "a late duplicate": message(type, [done]),
        "an unknown job": message(type, [str(uuid4())]),
        "another type's name on it": message("classify_ticket", [done]),
        "no id": message(type, ["not an id"]),
        "an id that is a list": message(type, [[done]]),
        "too many arguments": message(type, [done, done]),
        "arguments that are none": message(type, None),
        "a task that nobody knows": message("rm_rf", [done]),
        "a task name that is none": message({"rm": "rf"}, [done]),
        "pickle": message(type, [done], content_type="application/x-python-serialize", body=pickle.dumps(1)),
        "a body that is no JSON": message(type, [done], body=b"{"),
        "a body of another shape": message(type, [done], body=b"7"),
        "no headers": json.dumps({**bare, "headers": {}}),
        "no properties": json.dumps({**bare, "properties": {}}),
        "no envelope": json.dumps([1, 2, 3]),
        "no JSON": "%PDF-1.7",
        "no text": b"\xff\xfe\x00",
        "nothing": "",
    }


@pytest.mark.parametrize(
    ("kind", "queue", "worker"),
    [("held_threads", "model", "worker_model"), ("held_children", "documents", "worker_documents")],
)
def test_strange_messages_neither_kill_a_worker_nor_change_a_row(
    deployment: Deployment, kind: str, queue: str, worker: str
) -> None:
    task = deployment.submit(kind)
    deployment.reach(task, "completed")
    (done,) = Job.objects.using(ALIAS).filter(workflow_id=task)
    rows, pid = History.objects.using(ALIAS).filter(workflow_id=task).count(), deployment.pid(worker)

    for strange in strange_messages(done).values():
        deployment.broker.lpush(queue, strange)
    until(lambda: not any(deployment.broker.llen(name) for name in lists(queue)), "the strange messages are taken")
    deployment.reach(deployment.submit(kind), "completed")

    assert deployment.pid(worker) == pid
    assert History.objects.using(ALIAS).filter(workflow_id=task).count() == rows
    done.refresh_from_db()
    assert (done.state, done.attempt) == ("completed", 1)
