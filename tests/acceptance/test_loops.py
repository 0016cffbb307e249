"""A plan that loops, on real workers of several classes: to its end, and through the death of one. [C3] [D2]"""

from __future__ import annotations

import pytest

from agentapp.models import Attempt, Job, Stage
from tests.acceptance.deployment import Deployment, until
from tests.acceptance.invariants import violations
from tests.agents import record

pytestmark = pytest.mark.acceptance

TURNS = 20


def test_an_agent_takes_twenty_turns_though_its_worker_is_killed(deployment: Deployment) -> None:
    task = deployment.submit("turning", turns=TURNS, asks_at=3, held_at=7, gate="turning")
    deployment.reach(task, "awaiting_approval")
    deployment.approve(task)
    held = Job.objects.using(deployment.alias).filter(workflow_id=task, payload__call__gate="turning", state="running")
    until(held.exists, "the first call of the seventh turn runs")

    deployment.kill("worker_model")
    record.let_go(deployment.broker, "turning", count=2)

    done = deployment.reach(task, "completed")
    assert done["result"] == {"turns": TURNS, "heard": 2}
    assert done["progress"] == {"stage": 60, "stages": 60, "jobs_done": 3 * TURNS, "jobs": 3 * TURNS}
    assert not violations(deployment, [task])
    attempts = Attempt.objects.using(deployment.alias).filter(job__workflow_id=task)
    assert attempts.filter(outcome="lost").count() == 1 and attempts.filter(outcome="completed").count() == 3 * TURNS
    skipped = Stage.objects.using(deployment.alias).filter(workflow_id=task, spec__has_key="skipped")
    assert set(skipped.values_list("name", flat=True)) == {"approval"} and skipped.count() == TURNS - 1
    ran = Job.objects.using(deployment.alias).filter(workflow_id=task, type="turning_call")
    assert set(ran.values_list("queue", "tool")) == {("model", "model tool"), ("retrieval", "retrieval tool")}
