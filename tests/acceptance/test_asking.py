"""Plans and parts of a fan-out ask people, hold no worker until somebody has decided, and survive a restart of
everything. [G2] [G3]"""

from __future__ import annotations

import statistics
from datetime import timedelta
from uuid import UUID

import pytest
from django.db.models import QuerySet
from django.db.models.functions import Now

from agentapp.models import Approval, Attempt, Job, Worker, Workflow
from tests.acceptance.deployment import LEASE_S, Deployment, until
from tests.acceptance.invariants import violations
from tests.acceptance.scale import LONG, sized, timed

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(sized(400, 3600))]

# Every second part asks.
PARTS = sized(20, 100)
PLANS = sized(10, 950)
# Where an approval is decided, work goes on within it. [G3]
GOES_ON_WITHIN_S = 1.0
# The processes that asked, those that look after time, and what keeps the rows and the messages. In the long form all.
RESTARTED = ("worker_model", "dispatcher", "web", "valkey", "postgres")


def test_what_waits_for_people_survives_a_restart_of_everything_and_goes_on_when_it_is_decided(
    deployment: Deployment,
) -> None:
    fan_out = UUID(deployment.submit("asking", parts=list(range(PARTS))))
    plans = [UUID(deployment.submit("deciding", number=number)) for number in range(PLANS)]
    asked = approvals_of(deployment, [fan_out, *plans])
    parts = Job.objects.using(deployment.alias).filter(workflow=fan_out)
    until(lambda: asked.filter(state="pending").count() == PARTS // 2 + PLANS, "all have asked")
    until(lambda: parts.filter(state="completed").count() == PARTS // 2, "the other parts go on")
    before = list(asked.values_list("pk", "job_id", "content_sha256"))
    assert len({job for _, job, _ in before}) == PARTS // 2 + 1
    nobody_is_held(deployment, [fan_out, *plans])

    deployment.kill(*(deployment.about["pids"] if LONG else RESTARTED))
    until(deployment.is_up, "Postgres is back")
    until(deployment.is_served, "the web has Postgres back")
    assert list(asked.filter(state="pending").values_list("pk", "job_id", "content_sha256")) == before
    nobody_is_held(deployment, [fan_out, *plans])
    for approval, _, sha256 in before:
        decision = {"decision": "approve", "content_sha256": sha256}
        answer = deployment.ask("POST", f"/approvals/{approval}/decision", decision, key="approver_api_key")
        assert answer.status_code == 200, answer.text
    done = deployment.reach(str(fan_out), "completed")
    going_on = Workflow.objects.using(deployment.alias).filter(pk__in=plans).exclude(state="completed")
    until(lambda: not going_on.exists(), "all plans go on")

    hashes = {sha256 for _, job, sha256 in before if job}
    assert {part.get("sha256") for part in done["result"]["parts"] if part["asked"]} == hashes
    ended = Attempt.objects.using(deployment.alias).filter(job__workflow=fan_out, outcome="handed_back")
    assert ended.count() >= PARTS // 2
    assert not violations(deployment, [fan_out, *plans], deaths=frozenset())
    waits_s = claimed_after_s(deployment, asked)
    assert len(waits_s) == len(before)
    timed("from a decision to the claim, median", statistics.median(waits_s), at_most=GOES_ON_WITHIN_S)
    timed("from a decision to the claim, longest", max(waits_s), at_most=GOES_ON_WITHIN_S)


def approvals_of(deployment: Deployment, tasks: list[UUID]) -> QuerySet[Approval]:
    return Approval.objects.using(deployment.alias).filter(workflow__in=tasks).order_by("pk")


def nobody_is_held(deployment: Deployment, tasks: list[UUID]) -> None:
    """No job of these tasks has a lease, and no worker holds a job."""
    leased = Job.objects.using(deployment.alias).filter(workflow__in=tasks, lease_token__isnull=False)
    assert not leased.exists()
    # The row of a worker that a test has killed says what it held last.
    alive = Worker.objects.using(deployment.alias).filter(seen_at__gt=Now() - timedelta(seconds=LEASE_S))
    until(lambda: not alive.filter(jobs__gt=0).exists(), "no worker that lives holds a job")


def claimed_after_s(deployment: Deployment, asked: QuerySet[Approval]) -> list[float]:
    """How long after its decision a worker has begun with what waited for it."""
    attempts = Attempt.objects.using(deployment.alias).filter(outcome="completed")
    begun = dict(attempts.filter(job__workflow__in=asked.values("workflow")).values_list("job", "started_at"))
    next_jobs = Job.objects.using(deployment.alias).filter(type="deciding_go_on")
    follows = dict(next_jobs.filter(workflow__in=asked.values("workflow")).values_list("workflow", "pk"))
    return [
        (begun[approval.job_id or follows[approval.workflow_id]] - approval.decided_at).total_seconds()
        for approval in asked
        if approval.decided_at
    ]
