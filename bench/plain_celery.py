"""The same six steps as a plain Celery canvas: stock chord and chain, Redis results, nothing durable.

Celery's own defaults but for JSON, acknowledgements and prefetching, which are as in agentapp.
"""

from __future__ import annotations

import os
from typing import Any

import redis
from celery import Celery, chain, chord

DONE = "bench:done"
BROKER = os.environ.get("BENCH_BROKER_URL", "redis://127.0.0.1:1/0")

app = Celery("plain", broker=BROKER, backend=BROKER, set_as_current=False)
app.conf.update(
    task_serializer="json", accept_content=["json"], worker_prefetch_multiplier=1,
    task_default_queue="model", result_expires=600,
)  # fmt: skip
_recorder = redis.Redis.from_url(os.environ.get("BENCH_RECORDER_URL", "redis://127.0.0.1:1/0"))


@app.task(name="plain_retrieve")
def retrieve(source: int, question: str) -> dict[str, Any]:
    return {"passages": [source]}


@app.task(name="plain_draft")
def draft(found: list[dict[str, Any]], workflow_id: str) -> dict[str, Any]:
    return {"draft": len(found), "id": workflow_id}


@app.task(name="plain_evaluate")
def evaluate(drafted: dict[str, Any]) -> dict[str, Any]:
    return {"score": drafted["draft"] / 3, "id": drafted["id"]}


@app.task(name="plain_send")
def send(evaluated: dict[str, Any]) -> dict[str, Any]:
    return {"recorded": _recorder.rpush(DONE, evaluated["id"])}


def submit(workflow_id: str, question: str) -> None:
    header = [retrieve.s(n, question).set(queue="retrieval") for n in (1, 2, 3)]
    body = chain(draft.s(workflow_id).set(queue="model"), evaluate.s().set(queue="model"), send.s().set(queue="send"))
    chord(header, body).apply_async()
