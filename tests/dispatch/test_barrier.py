"""Sixteen connections at one moment: a job is claimed once and a fan-in opens once, every time.

The same trials go over the form that locks and counts in one statement, and see it fail: they would see ours fail too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import redis
from django.db import connection

from agentapp.lifecycle.claim import claim
from agentapp.lifecycle.complete import complete
from agentapp.lifecycle.opened import Claimed
from agentapp.models import History, Job, Workflow
from agentapp.policies.permissions import WORKER_CLASS_SCOPES
from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests.acceptance.scale import sized
from tests.dispatch.barrier import SIZE, Together
from tests.lifecycle.held_row import held

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.acceptance]

TRIALS = sized(20, 40)
QUEUES = tuple(WORKER_CLASS_SCOPES)
WRONG_FORMS = Path(__file__).with_name("lock_and_count.sql")

# What the sixteen do in one trial; each says whether it won: claimed the job, opened the next stage.
Trial = list[Callable[[], bool]]


@pytest.fixture(params=["apart", "in lanes"])
def together(broker: redis.Redis, request: pytest.FixtureRequest) -> Iterator[Together]:
    with Together(is_apart=request.param == "apart") as sixteen:
        yield sixteen


@pytest.fixture
def wrong_forms(transactional_db: None) -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute(WRONG_FORMS.read_text())
        yield
        cursor.execute("DROP FUNCTION wrong_settle, wrong_claim; DROP TABLE wrong_part, wrong_stage")


def winners(together: Together, new_trial: Callable[[int], Trial]) -> list[int]:
    """Return for each trial how many of the sixteen won."""
    return [sum(together.at_once(new_trial(number))) for number in range(TRIALS)]


def claims_of_one_job(principal: Principal, number: int) -> Trial:
    run = workflows.submit(principal, kind="probe_fan", input={})
    job = str(Job.objects.get(workflow=run, type="probe_first").pk)

    def one() -> bool:
        return isinstance(claim(job, worker="w", queues=QUEUES, lease_s=60), Claimed)

    return [one] * SIZE


def last_parts(together: Together, principal: Principal, number: int) -> Trial:
    """Sixteen parts that all run, and are all settled in this trial: each may be the last."""
    run = workflows.submit(principal, kind="probe_all", input={"parts": list(range(SIZE))})
    parts = Job.objects.filter(workflow=run, type="probe_part").values_list("pk", flat=True)
    claimed = together.at_once([partial(claim, str(part), worker="w", queues=QUEUES, lease_s=60) for part in parts])

    def one(part: Claimed) -> bool:
        output = {"n": part.payload["n"], "double": 2 * part.payload["n"]}
        return bool(complete(part, output, worker="w").opened.jobs)

    return [partial(one, part) for part in claimed if isinstance(part, Claimed)]


def test_a_job_is_claimed_once(together: Together, principal: Principal) -> None:
    assert winners(together, partial(claims_of_one_job, principal)) == [1] * TRIALS

    claimed = Job.objects.filter(type="probe_first")
    assert set(claimed.values_list("state", "attempt")) == {("running", 1)}


def test_the_last_parts_open_the_next_stage_once(together: Together, principal: Principal) -> None:
    assert winners(together, partial(last_parts, together, principal)) == [1] * TRIALS

    assert all(task.position > task.stages.get(kind="fan_out").position for task in Workflow.objects.all())
    joins = Job.objects.filter(type="probe_sum")
    assert set(joins.values_list("state", flat=True)) == {"available"}
    openings = History.objects.filter(job_id__in=joins.values("pk"), to_state="available")
    assert openings.count() == TRIALS
    assert [len((join.payload or {})["parts"]) for join in joins] == [SIZE] * TRIALS


@pytest.mark.parametrize("function", ["wrong_settle", "wrong_claim"])
def test_locking_and_counting_in_one_statement_is_seen_to_fail(wrong_forms: None, function: str) -> None:
    """Two parts wait for the lock, each with the snapshot that its count will use: not one of them wins, but none or
    both."""
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO wrong_stage (id) VALUES (1)")
        cursor.execute("INSERT INTO wrong_part (stage, n) VALUES (1, 1), (1, 2)")

    def one(part: int) -> bool:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {function}(1, %s)", [part])
            return bool(cursor.fetchone()[0])

    with held("wrong_stage", "1") as line:
        for part in (1, 2):
            line.join(partial(one, part))
        won = line.release()

    assert sum(won) == {"wrong_settle": 0, "wrong_claim": 2}[function]
