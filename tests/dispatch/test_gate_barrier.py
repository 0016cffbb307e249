"""Sixteen connections at one moment before a gate for eight: eight pass, every time. INV5

That the form which locks and counts in one statement lets more through is seen in test_barrier.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
import redis
from django.db import connection

from agentapp.lifecycle import cancel, gates
from agentapp.lifecycle.claim import claim
from agentapp.lifecycle.function_set import in_schema
from agentapp.lifecycle.opened import Claimed
from agentapp.models import Gate, Job
from agentapp.policies.permissions import WORKER_CLASS_SCOPES
from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests.acceptance.scale import sized
from tests.dispatch.barrier import SIZE, Together
from tests.structure.source import ROOT

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.acceptance]

SQL = ROOT / "agentapp" / "lifecycle" / "sql"
LOCK = "\n      ORDER BY x.key FOR NO KEY UPDATE"
COUNTED = "  RETURN free;\n"
TRIALS = sized(10, 40)
CAP = 8
QUEUES = tuple(WORKER_CLASS_SCOPES)


@pytest.fixture(params=["apart", "in lanes"])
def together(broker: redis.Redis, request: pytest.FixtureRequest) -> Iterator[Together]:
    with Together(is_apart=request.param == "apart") as sixteen:
        yield sixteen


@pytest.mark.parametrize(
    "scopes", [("global",), ("tenant",), ("job_type",), ("global", "tenant", "job_type")], ids="+".join
)
def test_a_gate_for_eight_lets_eight_of_sixteen_through(
    together: Together, principal: Principal, scopes: tuple[str, ...]
) -> None:
    for scope in scopes:
        gates.keep(Gate(scope=scope, pattern="global" if scope == "global" else "*", concurrency=CAP), actor="test")
    passed = [claimed_at_once(together, principal) for _ in range(TRIALS)]

    assert passed == [CAP] * TRIALS


def claimed_at_once(together: Together, principal: Principal) -> int:
    """Let sixteen workers claim sixteen jobs at once, and return how many may; then all is cancelled."""
    runs = [workflows.submit(principal, kind="probe_fan", input={}) for _ in range(SIZE)]
    jobs = Job.objects.filter(workflow__in=runs, state="available").values_list("pk", flat=True)
    answers = together.at_once([partial(claim, str(job), worker="w", queues=QUEUES, lease_s=60) for job in jobs])
    running = Job.objects.filter(state="running").count()
    for run in runs:
        cancel.cancel(run.pk, actor="test", reason="the trial is over")
    claimed = sum(isinstance(answer, Claimed) for answer in answers)
    assert running == claimed
    return claimed


def test_a_meter_for_eight_lets_eight_of_sixteen_through(together: Together, principal: Principal) -> None:
    gates.keep(Gate(scope="job_type", pattern="probe_first", requests_per_min=0.01, request_burst=CAP), actor="test")

    assert claimed_at_once(together, principal) == CAP


@pytest.mark.parametrize("together", ["apart"], indirect=True)
def test_without_its_lock_a_gate_is_seen_to_let_more_through(together: Together, principal: Principal) -> None:
    """The test of the test: claims that count beside each other instead of one after the other."""
    text = in_schema((SQL / "10_pass.sql").read_text())
    assert (text.count(LOCK), text.count(COUNTED)) == (1, 1)
    gates.keep(Gate(scope="global", pattern="global", concurrency=CAP), actor="test")
    with connection.cursor() as cursor:
        # All sixteen have counted before one of them commits.
        cursor.execute(text.replace(LOCK, "").replace(COUNTED, f"  PERFORM pg_sleep(0.2);\n{COUNTED}"))
        try:
            assert any(claimed_at_once(together, principal) > CAP for _ in range(TRIALS))
        finally:
            cursor.execute(text)
