"""What workers have counted becomes rates; what waits is counted in the rows. [A8] [H7]"""

from __future__ import annotations

import pytest

from agentapp import clock as clock_module
from agentapp.dispatch.measurer import Measurer
from agentapp.lifecycle import admit, gates
from agentapp.lifecycle.opened import Claimed
from agentapp.models import Job, Limit
from agentapp.runtime import counters as tallies
from agentapp.runtime.counters import WorkerCounters
from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests.lifecycle.test_gates import take


def learned(measurer: Measurer, *counts: dict[str, list[float]]) -> Measurer:
    """One look a second at the counts of one process."""
    for found in counts:
        measurer._learn({1: found}, elapsed_s=1.0)
    return measurer


def test_a_process_that_is_seen_first_tells_nothing_yet() -> None:
    """It may have worked for days before this dispatcher began to lead."""
    assert learned(Measurer(), {"queue:model": [1_000_000, 0]}).per_s.get("queue:model", 0.0) == 0.0


def test_a_steady_rate_is_learned_within_some_seconds_and_forgotten_when_nothing_begins() -> None:
    measurer = learned(Measurer(), *({"queue:model": [10.0 * second, 0.0]} for second in range(30)))
    assert measurer.per_s["queue:model"] == pytest.approx(10, rel=0.01)

    learned(measurer, *[{"queue:model": [290.0, 0.0]}] * 80)
    assert measurer.per_s == {}


def test_how_long_bodies_run_is_kept_by_job_type() -> None:
    measurer = learned(Measurer(), {}, {"job_type:draft": [4, 8.0]}, {"job_type:draft": [4, 8.0]})

    assert measurer.run_s == {"draft": 2.0}


@pytest.mark.django_db(transaction=True)
def test_what_waits_is_counted_by_tenant_queue_and_in_all(principal: Principal, clock: clock_module.Clock) -> None:
    runs = [workflows.submit(principal, kind="probe_fan", input={}) for _ in range(3)]
    assert isinstance(take(Job.objects.get(workflow=runs[0], type="probe_first")), Claimed)
    keys = ["global", f"tenant:{runs[0].tenant_id}", "queue:model"]
    gates.know(keys)

    admit.measure(per_s={"global": 1.5}, run_s={"probe_first": 2.0}, slots={"model": 8})

    assert set(Limit.objects.filter(key__in=keys).values_list("key", "waiting")) == {(key, 2) for key in keys}
    assert Limit.objects.get(key="global").per_s == 1.5
    assert Limit.objects.get(key="queue:model").slots == 8
    assert Limit.objects.get(key="queue:model").oldest_at == clock.now()
    assert Limit.objects.get(key="job_type:probe_first").run_s == 2.0


@pytest.mark.django_db(transaction=True)
def test_a_process_tells_no_more_what_was_read_long_ago(principal: Principal, monkeypatch: pytest.MonkeyPatch) -> None:
    run = workflows.submit(principal, kind="probe_fan", input={})
    claimed = take(Job.objects.get(workflow=run, type="probe_first"))
    assert isinstance(claimed, Claimed)
    mine = WorkerCounters()
    mine.took(claimed)
    mine.began(claimed)
    assert set(mine.counts()) == {"queue:model", "global", f"tenant:{run.tenant_id}"}

    monkeypatch.setattr(tallies, "FORGOTTEN_S", -1.0)
    assert mine.counts() == {}
