"""The steps of bench/agents/recovering.py as a plain Celery canvas: stock chord and chain, Redis results.

Celery's own defaults, early acknowledgement among them, but for JSON and prefetching, which are as in agentapp.
"""

from __future__ import annotations

import os
from typing import Any

from celery import Celery, chain, chord

from bench import bodies

BROKER = os.environ.get("BENCH_BROKER_URL", "redis://127.0.0.1:1/0")

app = Celery("plain", broker=BROKER, backend=BROKER, set_as_current=False)
app.conf.update(
    task_serializer="json", accept_content=["json"], worker_prefetch_multiplier=1,
    task_default_queue="model", result_expires=600,
)  # fmt: skip


@app.task(name="plain_recover_retrieve")
def retrieve(source: int, workflow_id: str, pause_s: float) -> dict[str, Any]:
    bodies.work(workflow_id, f"retrieve {source}", pause_s=pause_s)
    return {"passages": [source]}


@app.task(name="plain_recover_draft")
def draft(found: list[dict[str, Any]], workflow_id: str, pause_s: float) -> dict[str, Any]:
    bodies.work(workflow_id, "draft", pause_s=pause_s)
    return {"draft": len(found)}


@app.task(name="plain_recover_evaluate")
def evaluate(drafted: dict[str, Any], workflow_id: str, pause_s: float) -> dict[str, Any]:
    bodies.work(workflow_id, "evaluate", pause_s=pause_s)
    return {"score": drafted["draft"] / 3}


@app.task(name="plain_recover_send")
def send(evaluated: dict[str, Any], workflow_id: str, pause_s: float) -> dict[str, Any]:
    bodies.work(workflow_id, "send", pause_s=pause_s)
    return bodies.send(workflow_id)


def submit(workflow_id: str, pause_s: float) -> None:
    about = (workflow_id, pause_s)
    header = [retrieve.s(source, *about).set(queue="retrieval") for source in (1, 2, 3)]
    body = chain(
        draft.s(*about).set(queue="model"), evaluate.s(*about).set(queue="model"), send.s(*about).set(queue="send")
    )
    chord(header, body).apply_async()
