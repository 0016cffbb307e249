"""Nobody decides on a row that was read before its lock. INV1 INV4 INV5 INV12

Each test holds a task's row, lets two moves line up behind it, and lets go: the second one must see what the first did.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from agentapp.errors import IllegalMove, LostLease
from agentapp.ids import uuid7
from agentapp.lifecycle import bulk, bulk_work, cancel, database, dead_letters, effects, expire, gates, lose, make_due
from agentapp.lifecycle.claim import claim
from agentapp.lifecycle.opened import Claimed, Refused
from agentapp.models import BulkReplay, Gate, Job, Tenant
from agentapp.policies.permissions import WORKER_CLASS_SCOPES
from agentapp.services import workflows
from agentapp.services.principals import Principal
from agentapp.states import BulkReplayState
from tests.harness import histories_are_legal, path
from tests.lifecycle.held_row import held

pytestmark = pytest.mark.django_db(transaction=True)

QUEUES = tuple(WORKER_CLASS_SCOPES)


def take(job: Job, **more: Any) -> Claimed | Refused:
    return claim(str(job.pk), worker="worker", queues=QUEUES, lease_s=60, **more)


def first_job(principal: Principal, **more: Any) -> Job:
    run = workflows.submit(principal, kind="probe_fan", input={}, **more)
    return Job.objects.get(workflow=run, type="probe_first")


def lease_runs_out(job: Job) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE agentapp_job SET lease_expires_at = clock_timestamp() - interval '1 second' WHERE id = %s", [job.pk]
        )


def full_gate(principal: Principal) -> None:
    """One may run, and does."""
    gates.keep(Gate(scope="job_type", pattern="probe_first", concurrency=1), actor="test")
    assert isinstance(take(first_job(principal)), Claimed)


def test_a_second_message_does_not_park_the_job_that_the_first_one_runs(principal: Principal) -> None:
    gates.keep(Gate(scope="job_type", pattern="probe_first", concurrency=1), actor="test")
    job = first_job(principal)

    with held("agentapp_workflow", job.workflow_id) as line:
        line.join(lambda: take(job))
        line.join(lambda: take(job))
        first, second = line.release()

    assert isinstance(first, Claimed) and second == Refused("running")
    assert path(job) == "available > running"
    assert Job.objects.get(pk=job.pk).attempt == 1


def test_a_claim_does_not_park_a_job_whose_task_was_cancelled_meanwhile(principal: Principal) -> None:
    job = first_job(principal)
    full_gate(principal)

    with held("agentapp_workflow", job.workflow_id) as line:
        line.join(lambda: cancel.cancel(job.workflow_id, actor="test", reason="enough"))
        line.join(lambda: take(job))
        _, refused = line.release()

    assert refused == Refused("cancelled")
    assert path(job) == "available > cancelled"
    assert histories_are_legal()


def test_nothing_of_a_task_that_is_over_is_taken(principal: Principal) -> None:
    """Whatever made its job available: rows that an older release wrote, for instance."""
    job = first_job(principal)
    cancel.cancel(job.workflow_id, actor="test", reason="enough")
    Job.objects.filter(pk=job.pk).update(state="available")

    assert take(job) == Refused("not available")


def test_the_body_of_a_cancelled_task_begins_no_effect(principal: Principal) -> None:
    job = first_job(principal)
    claimed = take(job)
    assert isinstance(claimed, Claimed)

    with held("agentapp_job", job.pk) as line:
        line.join(lambda: cancel.cancel(job.workflow_id, actor="test", reason="enough"))
        line.join(lambda: raises_lost_lease(claimed))
        assert line.release()[1]


def raises_lost_lease(claimed: Claimed) -> bool:
    try:
        effects.begin(claimed, str(uuid4()), type="probe", request_sha256="0" * 64)
    except LostLease:
        return True
    return False


def test_a_rescuer_that_comes_late_does_not_end_the_next_attempt(principal: Principal) -> None:
    """Two leaders read the same expired lease; between their moves the job was claimed once more, and lost again."""
    job = first_job(principal)
    assert isinstance(take(job), Claimed)
    lease_runs_out(job)
    (mine,), (theirs,) = lose.expired(), lose.expired()
    assert lose.lose(mine, actor="first leader") is not None
    assert isinstance(take(job), Claimed)
    lease_runs_out(job)

    assert lose.lose(theirs, actor="late leader") is None

    (last,) = lose.expired()
    assert lose.lose(last, actor="first leader") is not None
    job.refresh_from_db()
    assert (job.state, job.attempt, job.max_attempts) == ("dead_lettered", 2, 2)


def test_what_is_due_is_made_available_once(principal: Principal) -> None:
    job = first_job(principal)
    full_gate(principal)
    assert take(job) == Refused("parked")

    with held("agentapp_workflow", job.workflow_id) as line:
        line.join(lambda: make_due.make_due(job, actor="first"))
        line.join(lambda: make_due.make_due(job, actor="second"))
        first, second = line.release()

    assert first is not None and second is None
    assert path(job) == "available > scheduled > available"


def test_a_cancellation_and_a_deadline_end_a_task_once(principal: Principal) -> None:
    job = first_job(principal, deadline_s=3600)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE agentapp_workflow SET deadline_at = created_at WHERE id = %s", [job.workflow_id])

    with held("agentapp_workflow", job.workflow_id) as line:
        line.join(lambda: expire.expire(job.workflow_id, actor="dispatcher"))
        line.join(lambda: was_refused(lambda: cancel.cancel(job.workflow_id, actor="test", reason="enough")))
        ended, refused = line.release()

    assert ended is not None and ended[0] == "deadline passed" and refused

    assert histories_are_legal()


def was_refused(act: Any) -> bool:
    try:
        act()
    except IllegalMove:
        return True
    return False


def test_a_dead_letter_is_resolved_or_replayed_not_both(principal: Principal, tenant: Tenant) -> None:
    job = first_job(principal)
    tenant.suspended_at = job.available_at
    tenant.save()
    assert take(job) == Refused("permission")

    with held("agentapp_workflow", job.workflow_id) as line:
        line.join(lambda: dead_letters.resolve(job, output={"text": "A"}, actor="one", reason="by hand"))
        line.join(lambda: was_refused(lambda: dead_letters.replay(job, actor="other")))
        assert line.release()[1] is True


def test_a_move_on_a_task_that_was_deleted_is_refused(principal: Principal) -> None:
    with pytest.raises(IllegalMove, match="deleted"):
        cancel.cancel(uuid7(), actor="test", reason="enough")


def test_a_bulk_replay_that_was_ended_meanwhile_replays_no_more(principal: Principal, tenant: Tenant) -> None:
    job = first_job(principal)
    tenant.suspended_at = job.available_at
    tenant.save()
    take(job)
    row = bulk.start(
        tenant_id=tenant.pk, selection={}, job_type=job.type, jobs=[job.pk], left_out=0, canary=1, batch=1, actor="test"
    )
    bulk_work.end(BulkReplay, row.pk, BulkReplayState.ABORTED, reason="enough")

    assert bulk.next_waiting(row.pk, 1) == ([], [])

    job.refresh_from_db()
    assert job.state == "dead_lettered"


@pytest.fixture
def repeatable_read() -> Iterator[None]:
    """A server whose default is another isolation level."""
    name = connection.ops.quote_name(str(connection.settings_dict["NAME"]))
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER DATABASE {name} SET default_transaction_isolation TO 'repeatable read'")
    connection.close()
    yield
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER DATABASE {name} RESET default_transaction_isolation")
    connection.close()


def test_every_session_of_ours_is_read_committed(repeatable_read: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SHOW transaction_isolation")
        assert cursor.fetchone() == ("read committed",)
    with database.session() as session:
        row = session.execute("SHOW transaction_isolation").fetchone()
        assert row == ("read committed",)


def test_a_gate_for_one_lets_one_through_whatever_the_server_says(repeatable_read: None, principal: Principal) -> None:
    gates.keep(Gate(scope="job_type", pattern="probe_first", concurrency=1), actor="test")
    one, *others = [first_job(principal) for _ in range(4)]
    gates.know(["job_type:probe_first"])

    with held("agentapp_limit", "job_type:probe_first", column="key") as line:
        line.join(lambda: take(one))
        for other in others:
            line.join(partial(take, other))
        answers = line.release()

    assert answers[1:] == [Refused("parked")] * 3
    assert isinstance(answers[0], Claimed)
