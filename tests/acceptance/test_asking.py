"""Parts of a fan-out ask a person, and hold no worker until somebody has decided. [G2]"""

from __future__ import annotations

from uuid import UUID

import pytest

from agentapp.models import Attempt, Job
from tests.acceptance.deployment import Deployment, Json, until
from tests.acceptance.invariants import violations

pytestmark = pytest.mark.acceptance

PARTS = 20


def questions(deployment: Deployment, task: str) -> list[Json]:
    answer = deployment.ask("GET", f"/approvals?state=pending&task={task}", key="approver_api_key")
    found: list[Json] = answer.json()["results"]
    return found


def test_parts_that_ask_wait_as_rows_and_go_on_when_they_are_decided(deployment: Deployment) -> None:
    task = deployment.submit("asking", parts=list(range(PARTS)))
    jobs = Job.objects.using(deployment.alias).filter(workflow=UUID(task))
    until(lambda: jobs.filter(state="retryable").count() == PARTS // 2, "the even parts ask")
    until(lambda: jobs.filter(state="completed").count() == PARTS // 2, "the others go on")
    assert not jobs.filter(lease_token__isnull=False).exists() and deployment.task(task)["state"] == "running"
    asked = questions(deployment, task)
    assert len(asked) == PARTS // 2 and len({each["job"] for each in asked}) == PARTS // 2

    # Neither the processes that asked nor the ones that look after time need to live until then.
    deployment.kill("worker_model", "dispatcher")
    for each in asked:
        decision = {"decision": "approve", "content_sha256": each["content_sha256"]}
        answer = deployment.ask("POST", f"/approvals/{each['id']}/decision", decision, key="approver_api_key")
        assert answer.status_code == 200, answer.text
    done = deployment.reach(task, "completed")

    hashes = {each["content_sha256"] for each in asked}
    assert {part.get("sha256") for part in done["result"]["parts"] if part["asked"]} == hashes
    ended = Attempt.objects.using(deployment.alias).filter(job__workflow=UUID(task), outcome="handed_back")
    assert ended.count() >= PARTS // 2 and questions(deployment, task) == []
    assert not violations(deployment, [task])
