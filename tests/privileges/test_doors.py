"""What a worker that was taken over cannot do by its moves, though it reads the ids and tokens of all. [H4]"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, connection, transaction

from agentapp.clock import Clock
from agentapp.ids import uuid7
from agentapp.lifecycle import database
from agentapp.lifecycle.claim import claim
from agentapp.lifecycle.opened import Claimed
from agentapp.models import Approval, Effect, History, Job, Tenant, Worker, Workflow
from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests.api.conftest import QUESTION
from tests.privileges import roles
from tests.privileges.test_classes import refused, settled
from tests.retention.filling import fill

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def made(db: None) -> None:
    roles.make()


def running(principal: Principal, process: str = "worker_model") -> tuple[Job, UUID]:
    """A job of a new task, which a process of this role runs, and its token."""
    task = workflows.submit(principal, kind="support_reply", input=QUESTION)
    job, token = Job.objects.get(workflow=task, state="available"), uuid7()
    with roles.session_of(process):
        assert isinstance(claim(str(job.pk), worker="w", queues=["model"], lease_s=60, token=token), Claimed)
    job.refresh_from_db()
    return job, token


def of_the_send_class(job: Job) -> None:
    """Let a job be one of the class that sends."""
    Job.objects.filter(pk=job.pk).update(queue="send")


def effect_of(job: Job, token: UUID) -> dict[str, Any]:
    return {"workflow": str(job.workflow_id), "job": str(job.pk), "token": str(token), "tenant": job.tenant_id,
            "key": "k", "type": "t", "request_sha256": "", "is_idempotent": False, "late_s": 30}  # fmt: skip


def begun(job: Job, token: UUID, **more: Any) -> dict[str, Any]:
    answer = database.call_many("begin_effects", items=database.Jsonb([effect_of(job, token) | more]))[0]
    assert answer is not None
    return answer


def test_a_job_that_ends_moves_its_own_task_and_no_other(principal: Principal, other_principal: Principal) -> None:
    """Else a worker could take a task of another tenant past its approval."""
    job, token = running(principal)
    theirs = workflows.submit(other_principal, kind="support_reply", input=QUESTION)
    before = list(Workflow.objects.filter(pk=theirs.pk).values()), History.objects.filter(workflow=theirs).count()

    with roles.session_of("worker_model"):
        item = settled(job, token) | {"workflow": str(theirs.pk), "tokens": 5}
        answers = database.call_many("settle", items=database.Jsonb([item]), actor="w", waits=True)

    assert [answer and answer["status"] for answer in answers] == ["lost"]
    after = list(Workflow.objects.filter(pk=theirs.pk).values()), History.objects.filter(workflow=theirs).count()
    assert after == before
    job.refresh_from_db()
    assert job.state == "running"


def test_no_approval_of_another_task_is_opened_again(
    principal: Principal, other_tenant: Tenant, admin_user: User
) -> None:
    job, token = running(principal)
    approval = fill(other_tenant, admin_user)[Approval]
    Approval.objects.filter(pk=approval.pk).update(state="approved", job=None)

    with roles.session_of("worker_model"), suppress(DatabaseError), transaction.atomic():
        database.call(
            "reopen", workflow=job.workflow_id, job=job.pk, token=token, actor="w", reason="", approval=approval.pk,
            content={"body": "mine"}, new_sha256="0" * 64,
        )  # fmt: skip

    assert Approval.objects.get(pk=approval.pk).state == "approved"


def test_a_send_of_another_class_is_neither_taken_over_nor_called_sent(principal: Principal) -> None:
    sender, of_sender = running(principal)
    effect = begun(sender, of_sender)
    of_the_send_class(sender)
    job, token = running(principal)

    with roles.session_of("worker_model"):
        with refused():
            begun(job, token, asked_sends=1)
        with refused():
            database.call("confirm_effects", job=job.pk, token=token,
                          effects=database.Jsonb([{"id": effect["id"], "response": {}}]))  # fmt: skip
    assert Effect.objects.get().state == "sent"


def test_a_send_whose_job_is_gone_is_nobodys(principal: Principal) -> None:
    job, token = running(principal)
    effect = begun(job, token)
    Effect.objects.update(job_id=uuid7())

    with roles.session_of("worker_model"):
        with refused():
            database.call("end_send", effect=effect["id"], sends=1, to="prepared", token=token)
        item = settled(job, token) | {"effects": [{"id": effect["id"], "response": {}}]}
        with refused():
            database.call_many("settle", items=database.Jsonb([item]), actor="w", waits=True)
    assert Effect.objects.get().state == "sent"


def beat(job: Job, token: UUID, process: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        pid = cursor.fetchone()[0]
    database.call(
        "heartbeat", process=process, name="w", pool="threads", slots=1, queues=["model", "send"],
        leases={str(job.pk): str(token)}, lease_s=9_999.0, draining=True, counts={}, backend_pid=pid,
    )  # fmt: skip


def test_a_heartbeat_renews_leases_of_its_own_classes_and_speaks_for_no_other_process(principal: Principal) -> None:
    """Else nobody would take the job of a worker that is gone, or a worker that lives would be sent nothing."""
    job, token = running(principal)
    of_the_send_class(job)
    moment = datetime.now(UTC)
    Worker.objects.create(id=7, name="send", pool="threads", slots=1, queues=["send"], counts={}, jobs=0,
                          started_at=moment, seen_at=moment)  # fmt: skip

    with roles.session_of("worker_model"):
        beat(job, token, process=7)
        beat(job, token, process=8)

    until = job.lease_expires_at
    assert Job.objects.filter(pk=job.pk, lease_expires_at=until).exists()
    assert Worker.objects.get(pk=7).draining_at is None
    assert Worker.objects.get(pk=8).queues == ["model"]
    with roles.session_of("worker_send"):
        beat(job, token, process=7)
    assert Job.objects.filter(pk=job.pk, lease_expires_at__gt=until).exists()
    assert Worker.objects.get(pk=7).draining_at is not None


def test_a_worker_ends_the_tasks_that_its_jobs_run_alone(principal: Principal, other_principal: Principal) -> None:
    job, _ = running(principal)
    theirs = workflows.submit(other_principal, kind="support_reply", input=QUESTION)
    with roles.session_of("worker_model"), refused():
        database.call("cancel", workflow=theirs.pk, actor="w", reason="x")

    Workflow.objects.filter(pk=theirs.pk).update(parent=job.workflow_id)
    with roles.session_of("worker_model"):
        database.call("cancel", workflow=theirs.pk, actor="w", reason="x")
    theirs.refresh_from_db()
    assert theirs.state == "cancelled"
    with roles.session_of("web"):
        database.call("cancel", workflow=job.workflow_id, actor="w", reason="x")


def test_a_role_does_not_say_what_time_it_is(principal: Principal, clock: Clock) -> None:
    """Else a worker need not wait for a send that hangs, and uses the budget of another day."""
    job, token = running(principal)
    with roles.session_of("worker_model"):
        clock.advance(9_999)
        database.call_many("settle", items=database.Jsonb([settled(job, token)]), actor="w", waits=True)

    job.refresh_from_db()
    assert job.finished_at is not None and job.finished_at < clock.now()


def test_nobody_puts_functions_beside_the_tables() -> None:
    """A database from before Postgres 15 lets everybody do so."""
    with connection.cursor() as cursor:
        cursor.execute("GRANT CREATE ON SCHEMA public TO PUBLIC")
    roles.make()
    with roles.session_of("worker_model"), refused(), connection.cursor() as cursor:
        cursor.execute("CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'")
