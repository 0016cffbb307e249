"""kill -9 in the middle of runs: each still ends, and nothing is sent twice."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import Any

import psycopg
import pytest

from agentapp.models import Attempt, Effect
from tests.acceptance.deployment import ALIAS, Deployment, until
from tests.acceptance.test_flower import QUESTION
from tests.agents import record

pytestmark = pytest.mark.acceptance

# Where the run of each word is when the workers are killed: the job type, and the model request that hangs then.
CHAT = "/v1/chat/completions"
HANGS: dict[str, tuple[str, dict[str, Any]]] = {
    "walnut": ("classify_ticket", {"path": CHAT, "schema_name": "ticket"}),
    "hazel": ("retrieve_context", {"path": "/v1/embeddings"}),
    "almond": ("generate_draft", {"path": CHAT, "schema_name": None}),
    "cashew": ("evaluate_answer", {"path": CHAT, "schema_name": "evaluation"}),
}
# A model that thinks until it is let go.
SLOW_S = 50.0
TERMINATE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s"


def submit(deployment: Deployment, word: str) -> str:
    return deployment.submit("support_reply", **QUESTION | {"subject": f"Invoices {word}"})


def is_running(deployment: Deployment, task: str, type: str) -> bool:
    return any(job["type"] == type and job["state"] == "running" for job in deployment.jobs(task))


def lost(deployment: Deployment, task: str) -> set[str]:
    """The types of the jobs of which an attempt was lost."""
    return {
        job["type"]
        for job in deployment.jobs(task)
        if any(attempt["outcome"] == "lost" for attempt in job["attempts"])
    }  # fmt: skip


def effect_id(mail: Path) -> str:
    return str(BytesHeaderParser().parsebytes(mail.read_bytes())["X-Effect-Id"])


@contextmanager
def locked(deployment: Deployment, lock: str, parameters: tuple[object, ...] = ()) -> Iterator[psycopg.Connection]:
    """Hold a lock in the database of the deployment: what needs it waits until it is released."""
    with deployment.sql() as session, session.transaction():
        session.execute("SET LOCAL lock_timeout = '20s'")
        session.execute(lock, parameters)
        yield session


def test_runs_end_well_though_the_workers_were_killed_at_each_job_type(deployment: Deployment) -> None:
    before = set(deployment.outbox.glob("*.eml"))
    for word, (_, match) in HANGS.items():
        deployment.fail("timeout", match={"contains": word, **match})
    tasks = {word: submit(deployment, word) for word in HANGS}
    until(
        lambda: all(is_running(deployment, tasks[word], type) for word, (type, _) in HANGS.items()),
        "each run stands at its job type",
    )

    # The last job before the decision asks no model: it stands still at the draft that it reads.
    judged = {"contains": "pecan", "path": CHAT, "schema_name": "evaluation"}
    deployment.fail("headers", delay_s=SLOW_S, times=None, match=judged)
    tasks["pecan"] = submit(deployment, "pecan")
    until(lambda: is_asked_to_judge(deployment, "pecan"), "the draft of pecan is judged")
    with locked(deployment, "LOCK TABLE agentapp_artifact IN ACCESS EXCLUSIVE MODE"):
        deployment.model.delete("/_control/faults")
        until(lambda: is_running(deployment, tasks["pecan"], "request_approval"), "request_approval of pecan runs")
        deployment.kill("worker_model", "worker_documents", "worker_send")
    deployment.reset()

    for task in tasks.values():
        deployment.reach(task, "awaiting_approval")
    assert {word: lost(deployment, task) for word, task in tasks.items()} == {
        **{word: {type} for word, (type, _) in HANGS.items()}, "pecan": {"request_approval"}
    }  # fmt: skip

    kill_while_mails_are_sent(deployment, tasks)

    for task in tasks.values():
        assert deployment.reach(task, "completed")["result"]["outcome"] == "sent"
    assert lost(deployment, tasks["walnut"]) == {"classify_ticket", "send_approved_message"}
    mails = set(deployment.outbox.glob("*.eml")) - before
    effects = Effect.objects.using(ALIAS).filter(workflow_id__in=tasks.values())
    assert len(mails) == len(tasks)
    assert {effect_id(mail) for mail in mails} == {str(effect.pk) for effect in effects}
    assert set(effects.values_list("state", "sends")) == {("confirmed", 1)}
    attempts = Attempt.objects.using(ALIAS).filter(job__workflow_id__in=tasks.values())
    assert set(attempts.values_list("outcome", flat=True)) == {"completed", "lost"}


def is_asked_to_judge(deployment: Deployment, word: str) -> bool:
    return any(word in str(body) and "'name': 'evaluation'" in str(body) for body in deployment.asked())


def kill_while_mails_are_sent(deployment: Deployment, tasks: dict[str, str]) -> None:
    """Kill the sender at the worst moment: a mail has left, and its settle waits for the task's row."""
    before = set(deployment.outbox.glob("*.eml"))
    with locked(deployment, "LOCK TABLE agentapp_effect IN ACCESS EXCLUSIVE MODE") as first:
        for task in tasks.values():
            deployment.approve(task)
        until(
            lambda: is_running(deployment, tasks["walnut"], "send_approved_message"), "the mail of walnut is being sent"
        )
        row = "SELECT 1 FROM agentapp_workflow WHERE id = %s FOR UPDATE"
        with locked(deployment, row, (tasks["walnut"],)) as second:
            first.execute("ROLLBACK")
            until(lambda: walnut_was_sent(deployment, before), "the mail of walnut is in the outbox")
            for word in tasks.keys() - {"walnut"}:
                deployment.reach(tasks[word], "completed")
            deployment.kill("worker_send")
            # What a killed process has asked of Postgres is still done, unless its machine has died with it.
            second.execute(TERMINATE, ("worker_send",))


def walnut_was_sent(deployment: Deployment, before: set[Path]) -> bool:
    return any("walnut" in mail.read_text() for mail in set(deployment.outbox.glob("*.eml")) - before)


def test_a_job_whose_pool_child_is_killed_runs_again_in_another(deployment: Deployment) -> None:
    task = deployment.submit("held_children", gate="child")
    attempt = deployment.reach_job(task, "hold_a_child", "running")["attempts"][0]
    parent, child = deployment.pid("worker_documents"), int(attempt["worker"].rpartition(":")[2])
    assert child != parent

    os.kill(child, signal.SIGKILL)
    until(lambda: len(deployment.job(task, "hold_a_child")["attempts"]) == 2, "the job was claimed again")
    # One for the child that died at the gate: it may have taken its leave with it.
    record.let_go(deployment.broker, "child", count=2)

    deployment.reach(task, "completed")
    attempts = deployment.job(task, "hold_a_child")["attempts"]
    assert [item["outcome"] for item in attempts] == ["lost", "completed"]
    assert deployment.pid("worker_documents") == parent
