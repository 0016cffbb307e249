"""Bulk replay: the canary, the batches, the stop, and a process that dies in between. [F3]"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import connection

from agentapp.dispatch import bulk as duty
from agentapp.errors import IllegalMove, InvalidInput, NotFound
from agentapp.lifecycle import bulk as moves
from agentapp.lifecycle import database, leadership
from agentapp.lifecycle.dead_letters import replay
from agentapp.models import BulkReplay, History, Job, Tenant
from agentapp.services import bulk_replays, dead_letters, principals, workflows
from agentapp.services.principals import Principal
from tests import outage
from tests.harness import drain
from tests.lifecycle import dead_letter_kinds
from tests.lifecycle.held_row import held

pytestmark = pytest.mark.django_db(transaction=True)
KIND = "letter_read"
MakeLetters = Callable[..., list[Job]]


@pytest.fixture(autouse=True)
def world() -> Iterator[None]:
    dead_letter_kinds.reset()
    yield
    dead_letter_kinds.reset()


@pytest.fixture
def make_letters(principal: Principal) -> MakeLetters:
    """make_letters(12): as many tasks whose first job is a dead letter; what broke them is fixed then."""

    def make(count: int, *, by: Principal = principal) -> list[Job]:
        known = set(Job.objects.values_list("pk", flat=True))
        for _ in range(count):
            workflows.submit(by, kind="letter_line", input={})
        dead_letter_kinds.broken.add(KIND)
        drain()
        dead_letter_kinds.broken.clear()
        return list(Job.objects.filter(state="dead_lettered").exclude(pk__in=known).order_by("finished_at"))

    return make


def letters(state: str) -> int:
    return Job.objects.filter(type=KIND, state=state).count()


def replays(job: Job) -> int:
    return History.objects.filter(job_id=job.pk, from_state="dead_lettered", to_state="available").count()


def settle_all() -> None:
    """Let what is under way end, without starting what follows it."""
    from agentapp.runtime import runner
    from tests.harness import be_a_worker

    be_a_worker()
    for job in Job.objects.filter(type=KIND, state="available"):
        runner.run(str(job.pk))


def to_the_end(row: BulkReplay) -> BulkReplay:
    while BulkReplay.objects.filter(pk=row.pk, finished_at=None).exists():
        moved = duty.go_on()
        settle_all()
        assert moved or letters("available") == 0
    return BulkReplay.objects.get(pk=row.pk)


def test_the_dispatcher_is_woken_when_a_bulk_replay_begins(principal: Principal, make_letters: MakeLetters) -> None:
    make_letters(1)
    with psycopg.connect(**connection.get_connection_params(), autocommit=True) as session:
        assert leadership.hears(session)

        bulk_replays.start(principal, type=KIND)

        assert leadership.woken(session, within_s=120)


def test_a_canary_goes_first_and_the_rest_in_batches(principal: Principal, make_letters: MakeLetters) -> None:
    jobs = make_letters(12)
    row = bulk_replays.start(principal, type=KIND, canary=2, batch=4)

    assert duty.go_on() == 1
    assert {job.pk for job in Job.objects.filter(state="available")} == {jobs[0].pk, jobs[1].pk}
    assert duty.go_on() == 0, "the canary decides first"
    settle_all()
    duty.go_on()
    assert BulkReplay.objects.get().state == "running"
    assert letters("available") == 4
    assert duty.go_on() == 0, "a batch is under way"

    done = to_the_end(row)
    assert (done.state, done.succeeded, done.failed, bulk_replays.skipped(done)) == ("done", 12, 0, 0)
    assert [replays(job) for job in jobs] == [1] * 12
    told = History.objects.filter(job_id=jobs[0].pk, from_state="dead_lettered").get()
    assert (told.actor, str(row.pk) in told.reason) == (principal.actor, True)


def test_a_canary_that_fails_again_stops_the_rest(principal: Principal, make_letters: MakeLetters) -> None:
    jobs = make_letters(6)
    row = bulk_replays.start(principal, type=KIND)
    dead_letter_kinds.broken.add(KIND)

    ended = to_the_end(row)

    assert (ended.state, ended.failed, len(ended.waiting)) == ("aborted", 1, 5)
    assert "canary failed again" in ended.reason
    assert [replays(job) for job in jobs] == [1, 0, 0, 0, 0, 0]


def test_too_many_failures_stop_the_rest(principal: Principal, make_letters: MakeLetters) -> None:
    make_letters(20)
    row = bulk_replays.start(principal, type=KIND, canary=1, batch=3)
    duty.go_on()
    settle_all()
    duty.go_on()
    dead_letter_kinds.broken.add(KIND)

    ended = to_the_end(row)

    assert (ended.state, ended.succeeded, ended.failed, ended.reason) == ("aborted", 1, 3, "3 of 4 failed again")
    assert letters("dead_lettered") == 19


def test_one_failure_among_many_is_forgiven(principal: Principal, make_letters: MakeLetters) -> None:
    make_letters(8)
    row = bulk_replays.start(principal, type=KIND, batch=1)
    duty.go_on()
    settle_all()
    duty.go_on()
    dead_letter_kinds.broken.add(KIND)
    settle_all()
    dead_letter_kinds.broken.clear()

    ended = to_the_end(row)

    assert (ended.state, ended.succeeded, ended.failed) == ("done", 7, 1)


@pytest.mark.parametrize("failed_again", [False, True])
def test_who_dies_in_the_middle_replays_nothing_twice(
    principal: Principal, make_letters: MakeLetters, failed_again: bool
) -> None:
    """The dispatcher ended between the replay of a job and the note that it is under way."""
    jobs = make_letters(5)
    row = bulk_replays.start(principal, type=KIND, canary=2, batch=3)
    replay(jobs[0], actor=row.actor, died_before=row.created_at)
    if failed_again:
        dead_letter_kinds.broken.add(KIND)
        settle_all()
        dead_letter_kinds.broken.clear()

    done = to_the_end(row)

    if failed_again:
        assert (done.state, done.succeeded, done.failed) == ("aborted", 1, 1)
        assert [replays(job) for job in jobs] == [1, 1, 0, 0, 0]
    else:
        assert (done.state, done.succeeded) == ("done", 5)
        assert [replays(job) for job in jobs] == [1] * 5


def test_two_dispatchers_at_once_replay_nothing_twice(principal: Principal, make_letters: MakeLetters) -> None:
    jobs = make_letters(4)
    bulk_replays.start(principal, type=KIND, canary=4)
    row = BulkReplay.objects.get()
    seen = [moves.next_waiting(row.pk, 4), moves.next_waiting(row.pk, 4)]

    opened = [[moves.replay(row, job) for job in found] for _, found in seen]
    for chosen, _ in seen:
        moves.mark_replayed(row.pk, chosen)

    assert all(opened[0]) and opened[1] == [None] * 4

    assert [replays(job) for job in jobs] == [1] * 4
    assert len(BulkReplay.objects.get().replayed) == 4


def test_a_task_that_somebody_holds_waits_on_and_the_others_are_replayed(
    principal: Principal, make_letters: MakeLetters
) -> None:
    busy, *others = make_letters(4)
    row = bulk_replays.start(principal, type=KIND, canary=1, batch=2)
    try:
        with outage.locked(busy.workflow_id), database.waits_for_locks(within_s=0.1):
            while sum(replays(job) for job in others) < 3:
                duty.go_on()
                settle_all()
            assert replays(busy) == 0
            assert BulkReplay.objects.get().waiting == [str(busy.pk)]
        duty.WAITING.aside.clear()
        done = to_the_end(row)
    finally:
        duty.WAITING.aside.clear()
    assert (done.state, done.succeeded) == ("done", 4)


def test_what_somebody_cancelled_counts_for_nothing_and_the_next_is_the_canary(
    principal: Principal, make_letters: MakeLetters
) -> None:
    first, second, *_ = make_letters(3)
    row = bulk_replays.start(principal, type=KIND)
    duty.go_on()
    workflows.cancel(principal, first.workflow_id, reason="not needed")

    duty.go_on()
    assert replays(second) == 1
    done = to_the_end(row)
    assert (done.state, done.succeeded, bulk_replays.skipped(done)) == ("done", 2, 1)


def test_a_person_stops_it_and_what_is_under_way_goes_on(
    principal: Principal, other_principal: Principal, make_letters: MakeLetters
) -> None:
    make_letters(4)
    row = bulk_replays.start(principal, type=KIND)
    duty.go_on()
    with pytest.raises(NotFound):
        bulk_replays.abort(other_principal, row.pk)
    stopped = bulk_replays.abort(principal, row.pk, reason="wrong cause")

    assert (stopped.state, stopped.reason) == ("aborted", f"by {principal.named}: wrong cause")
    assert duty.go_on() == 0
    assert (letters("available"), letters("dead_lettered")) == (1, 3)
    with pytest.raises(IllegalMove, match="aborted already"):
        bulk_replays.abort(principal, row.pk)


def test_none_is_replayed_after_it_was_aborted_but_the_one_under_way(
    principal: Principal, make_letters: MakeLetters
) -> None:
    _, second, *_ = make_letters(4)
    row = bulk_replays.start(principal, type=KIND, canary=4)
    with held("agentapp_workflow", second.workflow_id) as line:
        line.join(duty.go_on)
        bulk_replays.abort(principal, row.pk)
        line.release()

    assert (letters("available"), letters("dead_lettered")) == (2, 2)


def test_a_kind_is_chosen_by_fingerprint_whether_it_is_stored_or_not(
    principal: Principal, make_letters: MakeLetters
) -> None:
    jobs = make_letters(3)
    Job.objects.filter(pk=jobs[0].pk).update(error={"class": "PermanentError", "message": "another cause"})
    (largest, single) = dead_letters.groups(principal)
    assert (largest.count, single.count, single.message) == (2, 1, "another cause")
    Job.objects.filter(pk=jobs[1].pk).update(error=(jobs[1].error or {}) | {"fingerprint": largest.fingerprint})

    assert [group.count for group in dead_letters.groups(principal)] == [2, 1]
    row = bulk_replays.start(principal, fingerprint=largest.fingerprint)
    assert sorted(row.waiting) == sorted(str(job.pk) for job in jobs[1:])


def test_a_tenant_replays_its_own_and_an_operator_all(
    principal: Principal,
    other_principal: Principal,
    other_tenant: Tenant,
    admin_user: User,
    make_letters: MakeLetters,
) -> None:
    make_letters(2)
    make_letters(1, by=other_principal)
    operator = principals.of_user(admin_user)

    assert len(bulk_replays.start(principal, type=KIND).waiting) == 2
    everybody = bulk_replays.start(operator, type=KIND)
    assert (len(everybody.waiting), everybody.tenant) == (3, None)
    assert len(bulk_replays.start(operator, type=KIND, tenant_id=other_tenant.pk).waiting) == 1
    assert everybody not in bulk_replays.listing(principal)
    assert bulk_replays.listing(operator).count() == 3


def test_a_selection_that_makes_no_sense_is_refused(principal: Principal, make_letters: MakeLetters) -> None:
    make_letters(1)
    for wrong in ({}, {"type": KIND, "fingerprint": "0" * 12}, {"type": KIND, "canary": 0}, {"type": KIND, "batch": 0}):
        with pytest.raises(InvalidInput):
            bulk_replays.start(principal, **wrong)
    with pytest.raises(NotFound, match="no dead letter with the type nothing"):
        bulk_replays.start(principal, type="nothing")
    bulk_replays.start(principal, type=KIND)
    with pytest.raises(IllegalMove, match="being done already"):
        bulk_replays.start(principal, type=KIND)
