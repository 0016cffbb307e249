"""What a job shows of an earlier attempt: nothing while it waits to be claimed again, its error while that is why."""

from __future__ import annotations

from typing import Any

import pytest

from agentapp.models import Job
from agentapp.states import JobState
from tests import harness
from tests.api.conftest import Api

pytestmark = pytest.mark.django_db

ERROR = {"class": "TransientError", "kind": "transient", "message": "the other side is busy"}
SHOWN = {
    # state: (error, worker and start)
    "pending": (False, False),
    "available": (False, False),
    "scheduled": (False, False),
    "running": (False, True),
    "retryable": (True, True),
    "completed": (False, True),
    "dead_lettered": (True, True),
    "cancelled": (True, True),
}


def job_in(api: Api, state: str) -> dict[str, Any]:
    """A job whose row still has what an earlier attempt left there."""
    task = api.post("/tasks", {"kind": "probe_loop", "input": {}}).json()
    job = Job.objects.get(workflow_id=task["id"])
    Job.objects.filter(pk=job.pk).update(
        state=state, error=ERROR, worker="worker@host", started_at=task["created_at"], attempt=1
    )
    shown: dict[str, Any] = api.get(f"/jobs/{job.pk}").json()
    (listed,) = api.get(f"/tasks/{task['id']}/jobs").json()["results"]
    assert {name: value for name, value in shown.items() if name != "payload"} == listed
    return shown


@pytest.mark.parametrize("state", JobState.values)
def test_each_state_shows_what_belongs_to_it(api: Api, state: str) -> None:
    job = job_in(api, state)

    has_error, was_claimed = SHOWN[state]
    assert job["error"] == (ERROR if has_error else None)
    assert (job["worker"], bool(job["started_at"])) == (("worker@host", True) if was_claimed else (None, False))


def test_a_replayed_dead_letter_shows_its_old_error_only_in_its_attempts(api: Api) -> None:
    api.post("/tasks", {"kind": "probe_fan", "input": {"fail": "permanent"}})
    harness.drain()
    (letter,) = api.get("/dead-letters").json()["results"]
    assert letter["error"]["message"] and letter["worker"] and letter["started_at"]

    job = api.post(f"/dead-letters/{letter['id']}/replay", {}).json()

    assert (job["state"], job["error"], job["worker"], job["started_at"]) == ("available", None, None, None)
    assert job["attempts"][0]["error"]["message"] == letter["error"]["message"]
