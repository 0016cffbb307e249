"""A cancelled task stops where it stands, cleans up, and keeps what it has come to. [A7]"""

from __future__ import annotations

from typing import Any

import pytest

from agentapp.models import Job
from tests.acceptance.deployment import Deployment, until
from tests.acceptance.invariants import violations
from tests.acceptance.test_flower import QUESTION

pytestmark = pytest.mark.acceptance

# It would count for an hour.
FAR = 72_000


def cancel(deployment: Deployment, task: str) -> dict[str, Any]:
    answer = deployment.ask("POST", f"/tasks/{task}/cancel", {"reason": "no longer needed"})
    assert answer.status_code == 200, answer.text
    content: dict[str, Any] = answer.json()
    return content


def notes(deployment: Deployment, what: str, job_id: str, *, since: int) -> list[dict[str, Any]]:
    return [line for line in deployment.recorder.lines(what, since=since) if line["job"] == job_id]


@pytest.mark.parametrize("kind", ["count_in_a_thread", "count_in_a_child"])
def test_a_running_body_stops_and_its_type_cleans_up_once(deployment: Deployment, kind: str) -> None:
    began_at = deployment.recorder.mark()
    task = deployment.submit(kind, to=FAR)
    job = deployment.reach_job(task, kind, "running")
    until(lambda: notes(deployment, "counted", job["id"], since=began_at), "it counts")

    assert cancel(deployment, task)["state"] == "cancelled"
    until(lambda: notes(deployment, "tidied", job["id"], since=began_at), "its type has cleaned up")

    jobs = Job.objects.using(deployment.alias)
    until(lambda: jobs.get(pk=job["id"]).clean_up_at is None, "the clean-up is on record")

    reached = jobs.get(pk=job["id"])
    counted = notes(deployment, "counted", job["id"], since=began_at)
    # What it had come to is kept, if it had come to a checkpoint; the body stopped at its next one, which was refused.
    assert len(counted) - 1 <= (reached.checkpoint or {}).get("reached", 0) <= len(counted)
    assert len(notes(deployment, "tidied", job["id"], since=began_at)) == 1
    assert not violations(deployment, [task])


def test_another_worker_cleans_up_when_that_of_the_body_is_dead(deployment: Deployment) -> None:
    began_at = deployment.recorder.mark()
    task = deployment.submit("count_in_a_thread", to=FAR)
    job = deployment.reach_job(task, "count_in_a_thread", "running")
    until(lambda: notes(deployment, "counted", job["id"], since=began_at), "it counts")
    deployment.kill("worker_model")

    cancel(deployment, task)
    until(lambda: notes(deployment, "tidied", job["id"], since=began_at), "another worker has cleaned up")
    until(
        lambda: Job.objects.using(deployment.alias).get(pk=job["id"]).clean_up_at is None, "the clean-up is on record"
    )


def test_a_streamed_answer_ends_at_its_next_piece(deployment: Deployment) -> None:
    """The draft would take minutes; its thread is free within seconds, and what was done before stays readable."""
    deployment.model.post("/_control/speed", json={"tokens_per_s": 2})
    try:
        task = deployment.submit("support_reply", **QUESTION)
        job = deployment.reach_job(task, "generate_draft", "running")
        cancelled = cancel(deployment, task)
        log = deployment.home / "logs" / "worker_model.log"
        until(lambda: f'"job.cancelled", "job": "{job["id"]}"' in log.read_text(), "the body has stopped")
    finally:
        deployment.model.post("/_control/speed", json={"tokens_per_s": 0})

    assert cancelled["error"] == {"class": "Cancelled", "message": "no longer needed"}
    assert deployment.job(task, "classify_ticket")["output"]
    assert not violations(deployment, [task])
