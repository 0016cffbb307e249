"""Messages that one look at the broker brings are claimed in one move, and run by threads of their own. INV1"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import redis
from django.db import connection

from agentapp.errors import Unavailable
from agentapp.lifecycle import database, lose
from agentapp.lifecycle.opened import Claimed, Refused
from agentapp.models import Attempt, Job, Workflow
from agentapp.runtime import claiming, runner
from agentapp.runtime.arrivals import Arrivals
from agentapp.runtime.claiming import PendingClaim
from agentapp.runtime.process import this
from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests.acceptance.deployment import until
from tests.agents import held as held  # registers the kinds
from tests.agents import record
from tests.harness import be_a_worker
from tests.lifecycle.held_row import held as held_row
from tests.lifecycle.test_locks import first_job
from tests.runtime.worker_process import SLOTS, Worker, running_worker

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.acceptance]


@pytest.fixture
def worker(process_env: dict[str, str], broker: redis.Redis, tmp_path: Path) -> Iterator[Worker]:
    """Of a broker that was emptied before it began: old messages that it takes leave fewer slots for a moment."""
    with running_worker(process_env, log=tmp_path / "worker.log") as worker:
        yield worker


def parts(principal: Principal, count: int, *, gate: str = "") -> Workflow:
    return workflows.submit(principal, kind="held_threads", input={"gate": gate, "jobs": list(range(count))})


def at_gates(broker: redis.Redis) -> int:
    """How many bodies wait to be let go."""
    return sum(client["cmd"] == "blpop" for client in broker.client_list())


def transactions(task: Workflow, to_state: str) -> int:
    """In how many transactions jobs of a task came to a state."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(DISTINCT xmin::text) FROM agentapp_history WHERE workflow_id = %s AND to_state = %s"
            " AND noun = 'job'",
            [task.pk, to_state],
        )
        return int(cursor.fetchone()[0])


def test_the_parts_of_a_task_are_claimed_together_and_run_beside_each_other(
    worker: Worker, principal: Principal, broker: redis.Redis
) -> None:
    task = parts(principal, SLOTS, gate="all")
    # None of them ends before somebody lets it go: all run at the same time.
    until(lambda: Job.objects.filter(workflow=task, state="running").count() == SLOTS, "all run")
    until(lambda: at_gates(broker) == SLOTS, "each has a thread")
    assert transactions(task, "running") == 1, worker.log()
    record.let_go(broker, "all", count=SLOTS)
    until(lambda: Workflow.objects.get(pk=task.pk).state == "completed", "it is completed")
    assert set(Attempt.objects.values_list("number", "outcome")) == {(1, "completed")}


def test_more_messages_than_a_worker_has_slots_wait_for_one(
    worker: Worker, principal: Principal, broker: redis.Redis
) -> None:
    task = parts(principal, SLOTS + 2, gate="some")
    until(lambda: at_gates(broker) == SLOTS, "the slots are full")
    assert Job.objects.filter(workflow=task, state="running").count() == SLOTS
    record.let_go(broker, "some", count=SLOTS + 2)
    until(lambda: Workflow.objects.get(pk=task.pk).state == "completed", "it is completed")


def test_each_of_a_list_has_an_answer_of_its_own(principal: Principal) -> None:
    be_a_worker()
    job, other, busy = first_job(principal), first_job(principal), first_job(principal)
    with held_row("agentapp_workflow", busy.workflow_id):
        free, rubbish, passed_over, same = claiming.claim_together([str(job.pk), "rubbish", str(busy.pk), str(job.pk)])
    assert isinstance(free.result, Claimed)
    assert free.result.id == job.pk
    assert rubbish.result == Refused("unknown")
    assert passed_over.result is None
    assert same.result is None

    later = claiming.result_of(passed_over)
    assert isinstance(later, Claimed)
    assert later.token == passed_over.token
    assert Job.objects.get(pk=other.pk).state == "available"


def test_what_fails_for_all_is_left_to_each(principal: Principal, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the answer to a claim is lost: the job runs, and its own claim finds it under the same token."""
    be_a_worker()
    jobs = [first_job(principal), first_job(principal)]
    call_many = database.call_many

    def loses_its_answer(function: str, /, **more: Any) -> Any:
        call_many(function, **more)
        raise Unavailable("the connection broke")

    monkeypatch.setattr(database, "call_many", loses_its_answer)
    claims = claiming.claim_together([str(job.pk) for job in jobs])
    assert [pending.result for pending in claims] == [None, None]
    monkeypatch.undo()

    for pending, job in zip(claims, jobs, strict=True):
        assert Job.objects.get(pk=job.pk).state == "running"
        assert runner.run(pending.job_id, pending=pending).word == "completed"
        assert Attempt.objects.get(job=job.pk).number == 1


def test_a_worker_that_ends_begins_no_body_of_what_it_has_claimed(principal: Principal) -> None:
    be_a_worker()
    job = first_job(principal)
    (pending,) = claiming.claim_together([str(job.pk)])
    this.draining = True
    try:
        (late,) = claiming.claim_together([str(first_job(principal).pk)])
        assert late.result is None
        assert runner.run(pending.job_id, pending=pending).word == "handed back"
    finally:
        this.draining = False
    job.refresh_from_db()
    assert (job.state, job.attempt) == ("available", 0)


def test_where_the_pool_is_closed_the_thread_that_claimed_runs_all() -> None:
    ran: list[str] = []
    hub, pool = Hub(), Closed()
    arrivals = Arrivals(hub, pool)
    for job in ("a", "b", "c"):
        arrivals.add(Message(job, ran))
    hub.turn()
    assert ran == ["a", "b", "c"]


def test_what_a_loop_forgot_that_broke_off_is_handed_over_with_the_next_message() -> None:
    ran: list[str] = []
    hub = Hub()
    with ThreadPoolExecutor(1) as pool:
        arrivals = Arrivals(hub, pool)
        arrivals.add(Message("a", ran))
        hub.break_off()
        arrivals.add(Message("b", ran))
        arrivals.add(Message("c", ran))
        hub.turn()
    assert ran == ["a", "b", "c"]


def test_a_pool_that_gets_no_thread_more_runs_each_job_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It keeps what it was given all the same, and the threads that it has come to it later."""
    ran: list[str] = []
    hub = Hub()
    with ThreadPoolExecutor(2) as pool:
        meeting = threading.Barrier(2)
        pool.submit(meeting.wait)
        arrivals = Arrivals(hub, pool)
        for job in ("a", "b", "c"):
            arrivals.add(Message(job, ran))
        monkeypatch.setattr(threading.Thread, "start", no_thread)
        with suppress(RuntimeError):
            hub.turn()
        meeting.wait()
        until(lambda: len(ran) >= 3, "all have run")
    assert sorted(ran) == ["a", "b", "c"]


def no_thread(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_a_job_that_was_lost_before_a_thread_was_free_is_not_run(principal: Principal) -> None:
    be_a_worker()
    jobs = [first_job(principal), first_job(principal)]
    lost, kept = (replace(pending, since_s=-60) for pending in claiming.claim_together([str(job.pk) for job in jobs]))
    assert lose.lose(Job.objects.get(pk=jobs[0].pk), actor="dispatcher", is_certain=True)
    (other,) = claiming.claim_together([str(jobs[0].pk)])

    assert runner.run(lost.job_id, pending=lost).word == "running"
    assert runner.run(kept.job_id, pending=kept).word == "completed"
    assert runner.run(other.job_id, pending=other).word == "completed"
    assert list(Attempt.objects.order_by("number", "outcome").values_list("number", "outcome")) == [
        (1, "completed"), (1, "lost"), (2, "completed"),
    ]  # fmt: skip


class Hub:
    """The main loop of a worker: what it is told to do before it waits."""

    def __init__(self) -> None:
        self._soon: list[Callable[[], None]] = []

    def call_soon(self, act: Callable[[], None]) -> None:
        self._soon.append(act)

    def break_off(self) -> None:
        """As with an error in what it does before."""
        self._soon.clear()

    def turn(self) -> None:
        while self._soon:
            self._soon.pop()()


class Closed(Executor):
    """A pool that is closed once the first thread runs."""

    def __init__(self) -> None:
        self._is_open = True

    def submit(self, act: Callable[..., Any], /, *args: Any, **more: Any) -> Any:
        if not self._is_open:
            raise RuntimeError("cannot schedule new futures after shutdown")
        self._is_open = False
        act(*args, **more)


@dataclass
class Message:
    job: str
    ran: list[str]
    name: str = "hold_a_thread"
    begun: bool = False

    def begin(self) -> None:
        self.begun = True

    def perform(self, pending: PendingClaim) -> None:
        assert self.begun
        self.ran.append(pending.job_id)
