"""Claims against cancellations of the same tasks, behind a gate that is full: nothing leaves a final state, and no body
of a cancelled task begins an effect. INV1 INV5 INV6 INV12

The long form deals a hundred claims and a hundred cancellations in a random order to a hundred connections, two to
each, which begin at one moment: 150 rounds for each number of slots, in about a quarter of an hour. With
AGENTAPP_TEST_EXAMPLES=1000 it makes a thousand of each, which takes over an hour.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import Any
from uuid import UUID

import pytest
import redis

from agentapp.errors import IllegalMove, LostLease
from agentapp.lifecycle import cancel, effects, gates, make_due
from agentapp.lifecycle.claim import claim
from agentapp.lifecycle.opened import Claimed, Refused
from agentapp.models import Effect, Gate, Job, Workflow
from agentapp.policies.permissions import WORKER_CLASS_SCOPES
from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests.acceptance.scale import LONG, dice, sized
from tests.dispatch.barrier import SIZE, Together
from tests.lifecycle import snapshot

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.acceptance]

ROUNDS = int(os.environ.get("AGENTAPP_TEST_EXAMPLES") or sized(13, 150))
QUEUES = tuple(WORKER_CLASS_SCOPES)
# In the short form a hundred claims against a hundred cancellations in all.
PAIRS = sized(SIZE // 2, 100)
THREADS = sized(SIZE, 100)


@pytest.fixture
def threads(broker: redis.Redis) -> Iterator[Together]:
    # In the long form each is like a process of its own: a hundred threads of one would share statements by the dozen.
    with Together(is_apart=LONG, size=THREADS) as many:
        yield many


def take(job: UUID) -> Claimed | Refused:
    return claim(str(job), worker="worker", queues=QUEUES, lease_s=600)


def end(task: UUID) -> None:
    cancel.cancel(task, actor="test", reason="enough")


def in_turn(acts: list[Any]) -> list[Any]:
    return [act() for act in acts]


def begins(claimed: Claimed) -> bool:
    """Whether the body of a job may still send."""
    try:
        return effects.begin(claimed, f"mail:{claimed.id}", type="probe", request_sha256="0" * 64).status == "begun"
    except LostLease:
        return False


@pytest.mark.timeout(4 * 3_600)
@pytest.mark.parametrize("slots", [1, 4])
def test_nothing_of_a_cancelled_task_goes_on(threads: Together, principal: Principal, slots: int) -> None:
    """With one slot, which is taken, each claim is parked or refused; with four, some run and lose their lease."""
    gates.keep(Gate(scope="job_type", pattern="probe_first", concurrency=slots), actor="test")
    if slots == 1:
        holder = workflows.submit(principal, kind="probe_fan", input={})
        assert isinstance(take(Job.objects.get(workflow=holder, state="available").pk), Claimed)
    order = dice(f"claims and cancellations, {slots}")
    for _ in range(ROUNDS):
        one_round(threads, principal, order)


def one_round(threads: Together, principal: Principal, order: random.Random) -> None:
    runs = [workflows.submit(principal, kind="probe_fan", input={}).pk for _ in range(PAIRS)]
    jobs = dict(Job.objects.filter(workflow__in=runs, state="available").values_list("workflow_id", "pk"))

    acts: list[Any] = [act for run in runs for act in (partial(take, jobs[run]), partial(end, run))]
    order.shuffle(acts)
    shares = [acts[number::THREADS] for number in range(THREADS)]
    answers = chain.from_iterable(threads.at_once([partial(in_turn, share) for share in shares]))
    # What a dispatcher and late messages would do next.
    for job in make_due.due():
        if job.workflow_id in runs:
            assert make_due.make_due(job, actor="dispatcher") is None
    late = [take(job) for job in jobs.values()]

    claimed = [answer for answer in answers if isinstance(answer, Claimed)]
    assert not any(begins(job) for job in claimed)
    assert {answer.reason for answer in late if isinstance(answer, Refused)} == {"cancelled"}
    assert not any(isinstance(answer, Claimed) for answer in late)
    assert set(Workflow.objects.filter(pk__in=runs).values_list("state", flat=True)) == {"cancelled"}
    assert set(Job.objects.filter(workflow__in=runs).values_list("state", flat=True)) == {"cancelled"}
    assert not Effect.objects.filter(workflow_id__in=runs).exists()
    snapshot.check_records(runs, {})
    for run in runs:
        with pytest.raises(IllegalMove):
            end(run)
