"""Workers that are lost, answers that are lost, jobs that are handed back. [D2] [D3] [D6]"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from django.db import connection

from agentapp.dispatch import rescuer
from agentapp.errors import Cancelled, LostLease
from agentapp.ids import uuid7
from agentapp.lifecycle import checkpoint, database, dead_letters, lose
from agentapp.lifecycle.claim import claim
from agentapp.lifecycle.complete import complete
from agentapp.lifecycle.fail import retry_later
from agentapp.lifecycle.hand_back import hand_back
from agentapp.lifecycle.opened import Claimed
from agentapp.models import Attempt, Job, Worker
from agentapp.runtime import runner
from agentapp.runtime.process import this
from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests.acceptance.deployment import until
from tests.harness import be_a_worker, drain, make_due, path

ERROR = {"class": "TransientError", "kind": "transient", "message": "busy"}
PROCESS = 4711


@pytest.fixture
def job(principal: Principal) -> Job:
    return Job.objects.get(workflow=workflows.submit(principal, kind="probe_loop", input={}))


def take(job: Job, *, process: int | None = PROCESS, token: UUID | None = None) -> Claimed:
    claimed = claim(str(job.pk), worker="model@here:1", queues=["model"], lease_s=15, process=process, token=token)
    assert isinstance(claimed, Claimed)
    return claimed


def lose_it(job: Job) -> None:
    take(job)
    (running,) = lose.held_by(PROCESS)
    assert lose.lose(running, actor="dispatcher", is_certain=True) is not None


def test_a_first_loss_makes_the_job_available_at_once(job: Job) -> None:
    lose_it(job)

    job.refresh_from_db()
    assert (job.state, job.attempt) == ("available", 1)


def test_a_claim_that_is_made_again_after_its_attempt_was_lost_begins_another_attempt(job: Job) -> None:
    """Postgres was away for longer than the lease, and the answer to the first claim never came."""
    token = uuid7()
    lost = take(job, token=token)
    assert lose.lose(Job.objects.get(), actor="dispatcher", is_certain=True) is not None

    again = take(job, token=token)
    complete(again, {"text": "a"}, worker="model@here:1")

    assert list(Attempt.objects.order_by("number").values_list("id", "number", "outcome")) == [
        (lost.token, 1, "lost"), (again.token, 2, "completed"),
    ]  # fmt: skip


def test_a_job_that_is_lost_twice_in_a_row_waits_before_it_takes_another_worker(job: Job, clock) -> None:
    """The default table: 10 s after the second loss, 30 s after the third, 2 min after the fourth, then it is dead."""
    lose_it(job)
    waits = []
    for _ in range(3):
        lose_it(job)
        job.refresh_from_db()
        assert job.state == "retryable" and job.scheduled_at
        waits.append((job.scheduled_at - clock.now()).total_seconds())
        make_due(clock, waits[-1])
    lose_it(job)

    job.refresh_from_db()
    assert waits == [10, 30, 120]
    assert (job.state, job.attempt) == ("dead_lettered", 5)
    assert (job.error or {})["class"] == "WorkerLost"
    assert list(Attempt.objects.filter(job=job).values_list("outcome", flat=True)) == ["lost"] * 5


def test_a_failure_in_between_clears_the_suspicion(job: Job, clock) -> None:
    lose_it(job)
    retry_later(take(job), error=ERROR, retry_in_s=10, worker="w")
    make_due(clock, 10)
    lose_it(job)

    job.refresh_from_db()
    assert (job.state, job.attempt) == ("available", 3)


def test_losses_before_a_replay_are_forgiven(job: Job, clock) -> None:
    lose_it(job)
    for wait_s in (10, 30, 120):
        lose_it(job)
        make_due(clock, wait_s)
    lose_it(job)
    job.refresh_from_db()
    dead_letters.replay(job, actor="user:root")
    lose_it(job)

    job.refresh_from_db()
    assert (job.state, job.attempt) == ("available", 1)


def test_a_lease_that_was_renewed_after_the_look_is_not_ended(job: Job) -> None:
    """The dispatcher saw a free lock, and the process beats before its job is taken away."""
    take(job)
    (running,) = lose.held_by(PROCESS)
    seen = Job.objects.get(pk=job.pk).lease_expires_at
    assert seen is not None
    Job.objects.filter(pk=job.pk).update(lease_expires_at=seen + timedelta(seconds=1))

    assert lose.lose(running, actor="dispatcher", seen=seen) is None
    assert lose.lose(running, actor="dispatcher", seen=seen + timedelta(seconds=1)) is not None


def test_another_process_under_the_same_name_is_not_ended(job: Job) -> None:
    """In a container every worker has the same name and the same process id."""
    take(job, process=PROCESS + 1)
    (running,) = lose.held_by(PROCESS + 1)
    running.process = PROCESS
    seen = Job.objects.get(pk=job.pk).lease_expires_at

    assert lose.lose(running, actor="dispatcher", seen=seen) is None


def test_a_claim_whose_answer_was_lost_is_found_to_be_done(job: Job) -> None:
    token = uuid7()
    first, again = (claim(str(job.pk), worker="w", queues=["model"], lease_s=15, token=token) for _ in range(2))

    assert first == again
    assert Job.objects.get(pk=job.pk).attempt == 1


def test_a_settle_whose_answer_was_lost_still_tells_what_it_opened(principal: Principal) -> None:
    workflow = workflows.submit(principal, kind="probe_fan", input={})
    job = take(Job.objects.get(workflow=workflow, type="probe_first"))

    first, again = (complete(job, {"text": "A"}, worker="model@here:1") for _ in range(2))

    assert len(first.opened.jobs) == 3
    assert again == first


def test_a_settle_whose_answer_was_lost_hands_out_the_job_that_it_took_in_place(principal: Principal) -> None:
    workflow = workflows.submit(principal, kind="probe_rented", input={})
    job = take(Job.objects.get(workflow=workflow, type="probe_first"))
    me = "model@here:1"

    first, again = (
        complete(job, {"text": "A"}, worker=me, in_place=True, queues=["model"], lease_s=15, process=PROCESS)
        for _ in range(2)
    )

    assert first.taken is not None and first.taken.type == "probe_rented"
    assert again == first


def test_a_job_that_is_handed_back_has_not_used_up_an_attempt(job: Job) -> None:
    for _ in range(7):
        hand_back(take(job), worker="w", reason="the worker ends")
    job.refresh_from_db()
    assert (job.state, job.attempt) == ("available", 0)

    late = take(job)
    hand_back(late, worker="w", reason="the worker ends")
    with pytest.raises(LostLease):
        complete(late, {"seen": 3, "verdict": "pass"}, worker="w")
    assert path(job).startswith("available > running > available > running")


def test_a_body_goes_on_from_its_checkpoint_in_another_worker(principal: Principal, settings) -> None:
    settings.AGENTAPP_IN_PLACE_BUDGET_S = 0
    workflow = workflows.submit(principal, kind="probe_rented", input={})
    drain_first(workflow.pk)
    job = Job.objects.get(workflow=workflow, type="probe_rented")
    # This worker begins to end while the body counts: it stops at its next checkpoint.
    claimed = take(job)
    this.draining = True
    try:
        word, _ = runner._attempt(claimed, begins=True, may_continue=lambda: False)
    finally:
        this.draining = False
    job.refresh_from_db()
    assert (word, job.state, job.attempt, job.checkpoint) == ("handed back", "available", 0, {"count": 1})

    drain(workflow)
    workflow.refresh_from_db()
    assert (workflow.state, workflow.result) == ("completed", {"text": "HELLO", "count": 3})
    job.refresh_from_db()
    assert (job.attempt, job.checkpoint) == (1, None)


def drain_first(workflow_id: UUID) -> None:
    be_a_worker()
    runner.run(str(Job.objects.get(workflow=workflow_id, type="probe_first").pk))


def test_a_worker_that_ends_claims_nothing_and_its_message_is_replaced(job: Job) -> None:
    be_a_worker()
    this.draining = True
    try:
        ran = runner.run(str(job.pk))
        unknown = runner.run(str(uuid4()))
    finally:
        this.draining = False

    assert (ran.word, [link.id for link in ran.opened.jobs]) == ("draining", [str(job.pk)])
    assert unknown.opened.jobs == ()
    assert path(job) == "available"


def test_only_the_owner_saves_a_checkpoint(job: Job, principal: Principal) -> None:
    late = take(job)
    hand_back(late, worker="w", reason="the worker ends")
    owner = take(job)
    with pytest.raises(LostLease):
        checkpoint.save(late, {"n": 1})
    checkpoint.save(owner, {"n": 2})
    job.refresh_from_db()
    assert job.checkpoint == {"n": 2}

    workflows.cancel(principal, job.workflow_id, reason="enough")
    with pytest.raises(Cancelled):
        checkpoint.save(owner, {"n": 3})


def test_a_process_that_holds_leases_and_no_lock_is_silent(job: Job) -> None:
    take(job)

    assert set(lose.silent(heartbeat_s=1)) == {PROCESS}


def test_nothing_is_believed_for_a_lease_after_a_start_of_postgres(job: Job, clock, settings) -> None:
    """Nobody could renew while it was away, and all locks are gone; but all workers live."""
    take(job)
    clock.advance(16)
    settings.AGENTAPP_LEASE_S = lose.postgres_up_s() + 60
    assert rescuer.Watch().rescue_expired() == 0

    settings.AGENTAPP_LEASE_S = lose.postgres_up_s() - 1
    watch = rescuer.Watch()
    watch.look_away()
    assert watch.rescue_expired() == watch.rescue_silent() == 0
    late = rescuer.Watch()
    until(lambda: late.rescue_expired() == 1, "it is found twice")


@pytest.mark.parametrize(("unseen_heartbeats", "silent"), [(1, set()), (6, {PROCESS})])
def test_behind_a_pooler_missed_heartbeats_count_and_not_the_lock(
    job: Job, unseen_heartbeats: int, silent: set[int]
) -> None:
    """No session of such a process holds a lock, and it still lives."""
    take(job)
    seen_at = datetime.now(UTC) - timedelta(minutes=unseen_heartbeats)
    Worker.objects.create(id=PROCESS, name="w", pool="threads", started_at=seen_at, seen_at=seen_at, is_direct=False)

    assert set(lose.silent(heartbeat_s=60)) == silent


def test_a_heartbeat_tells_whether_its_session_is_a_direct_one(db: None) -> None:
    def beats(number_of_session: int | None) -> bool | None:
        database.call(
            "heartbeat", process=PROCESS, name="w", pool="threads", slots=1, queues=[], leases={}, lease_s=15,
            draining=False, counts={}, backend_pid=number_of_session,
        )  # fmt: skip
        return Worker.objects.get(pk=PROCESS).is_direct

    connection.ensure_connection()
    # A connection pooler tells its clients a number of its own; a release before this one tells none.
    assert [beats(connection.connection.info.backend_pid), beats(1), beats(None)] == [True, False, None]
