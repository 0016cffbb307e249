"""The checks that the tests of durability end with: each of them sees what it is there for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from agentapp.models import Attempt, History
from tests.acceptance.deployment import Deployment
from tests.acceptance.invariants import Rows, attempts, violations_in

pytestmark = pytest.mark.acceptance

Calls = list[dict[str, Any]]
Damage = Callable[[Rows, Calls], None]


@pytest.fixture
def ended(deployment: Deployment) -> tuple[Rows, Calls]:
    """A run that is completed, as it stands in the database and in the recorder."""
    since = deployment.recorder.mark()
    task = deployment.submit("chaos", seed=1, parts=[0, 1])
    deployment.reach(task, "completed")
    return Rows(deployment, [task]), deployment.recorder.lines("effect", since=since)


def lose_a_task(rows: Rows, calls: Calls) -> None:
    rows.missing.add("a task")


def leave_the_task_running(rows: Rows, calls: Calls) -> None:
    rows.workflows[0].state = "running"


def leave_a_job_available(rows: Rows, calls: Calls) -> None:
    rows.jobs[-1].state = "available"


def hide_a_dead_letter(rows: Rows, calls: Calls) -> None:
    rows.workflows[0].state = "needs_attention"


def let_a_job_die(rows: Rows, calls: Calls) -> None:
    rows.jobs[-1].state, rows.jobs[-1].error = "dead_lettered", {"class": "WorkerLost"}


def drop_a_change(rows: Rows, calls: Calls) -> None:
    rows.history.remove(next(row for row in rows.history if row.to_state == "running" and row.job_id))


def go_an_illegal_way(rows: Rows, calls: Calls) -> None:
    next(row for row in rows.history if row.to_state == "running" and row.job_id).to_state = "retryable"


def complete_twice(rows: Rows, calls: Calls) -> None:
    its = rows.attempts[rows.jobs[0].pk]
    its.append(Attempt(job_id=rows.jobs[0].pk, number=2, outcome="completed"))


def go_on_after_the_end(rows: Rows, calls: Calls) -> None:
    rows.attempts[rows.jobs[0].pk].append(Attempt(job_id=rows.jobs[0].pk, number=2, outcome="lost"))


def never_end_an_attempt(rows: Rows, calls: Calls) -> None:
    rows.attempts[rows.jobs[0].pk][0].outcome = ""


def try_beyond_the_cap(rows: Rows, calls: Calls) -> None:
    rows.jobs[0].max_attempts = 0


def come_before_the_time(rows: Rows, calls: Calls) -> None:
    last = rows.history[-2]
    retry_at = (last.at + timedelta(seconds=1)).isoformat()
    early = History(workflow=last.workflow, job_id=last.job_id, to_state="retryable", data={"retry_at": retry_at})
    rows.history.insert(len(rows.history) - 2, early)


def open_a_join_twice(rows: Rows, calls: Calls) -> None:
    opening = next(row for row in rows.history if (row.from_state, row.to_state) == ("pending", "available"))
    rows.history.append(opening)


def lose_a_part(rows: Rows, calls: Calls) -> None:
    rows.jobs.remove(next(job for job in rows.jobs if job.type == "chaos_parse"))


def send_twice(rows: Rows, calls: Calls) -> None:
    calls.append(calls[0])


def send_off_the_usage(rows: Rows, calls: Calls) -> None:
    rows.effects.pop()


def confirm_what_was_never_sent(rows: Rows, calls: Calls) -> None:
    calls.pop()


DAMAGES: dict[Damage, str] = {
    lose_a_task: "is not there",
    leave_the_task_running: "has not ended",
    leave_a_job_available: "has jobs that are ['available']",
    hide_a_dead_letter: "no dead letter says why",
    let_a_job_die: "is a dead letter",
    drop_a_change: "does not join",
    go_an_illegal_way: "an illegal way",
    complete_twice: "with ['completed', 'completed']",
    go_on_after_the_end: "its last attempt is not",
    never_end_an_attempt: "an attempt without an end",
    try_beyond_the_cap: "was tried 1 times (counted 1) of 0",
    come_before_the_time: "before it was due",
    open_a_join_twice: "was opened 2 times",
    lose_a_part: "and its row is gone",
    send_twice: "happened 2 times",
    send_off_the_usage: "does not stand in the ledger",
    confirm_what_was_never_sent: "has never happened",
}


def test_nothing_is_wrong_with_a_run_that_went_well(ended: tuple[Rows, Calls]) -> None:
    assert violations_in(*ended) == []


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_wrong_is_seen(ended: tuple[Rows, Calls], damage: Damage) -> None:
    rows, calls = ended
    damage(rows, calls)

    assert any(DAMAGES[damage] in sentence for sentence in violations_in(rows, calls)), violations_in(rows, calls)


def test_a_loss_beside_others_counts_as_its_row_says(ended: tuple[Rows, Calls]) -> None:
    rows, _ = ended
    its = {"job_id": rows.jobs[0].pk, "noun": "job"}
    rows.attempts[rows.jobs[0].pk].insert(0, Attempt(job_id=rows.jobs[0].pk, number=1, outcome="lost"))
    rows.history.append(History(from_state="available", to_state="running", **its))
    assert any("counts 1 attempts" in sentence for sentence in attempts(rows))

    spared = "worker lost, with others; not counted"
    rows.history.append(History(from_state="running", to_state="available", reason=spared, **its))
    assert not list(attempts(rows))
