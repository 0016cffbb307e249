"""The worker class of a session is that of its role, whatever it says of itself, and whatever tokens it knows. [H4]"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest
from django.db import DatabaseError, connection, transaction

from agentapp.ids import uuid7
from agentapp.lifecycle import database, function_set, lose
from agentapp.lifecycle.claim import claim
from agentapp.lifecycle.opened import Claimed, Refused
from agentapp.models import Job
from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests.api.conftest import QUESTION
from tests.privileges import roles

pytestmark = pytest.mark.django_db


@pytest.fixture
def job(principal: Principal) -> Job:
    roles.make()
    task = workflows.submit(principal, kind="support_reply", input=QUESTION)
    return Job.objects.get(workflow=task, state="available")


def claimed_by(process: str, job: Job, **more: Any) -> Claimed | Refused:
    with roles.session_of(process):
        return claim(str(job.pk), worker="w", queues=["model", "send", "webhooks"], lease_s=60, **more)


@contextmanager
def refused() -> Iterator[None]:
    with pytest.raises(DatabaseError) as raised, transaction.atomic():
        yield
    assert getattr(raised.value.__cause__, "sqlstate", "") == "42501", raised.value


def test_a_role_claims_jobs_of_its_own_classes_alone(job: Job) -> None:
    assert claimed_by("worker_send", job) == Refused("not of this worker class")
    assert claimed_by("worker_webhooks", job) == Refused("not of this worker class")
    assert isinstance(claimed_by("worker_model", job), Claimed)


def test_a_role_that_is_not_known_and_may_not_write_jobs_claims_nothing(job: Job) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM agentapp_databaserole")

    assert claimed_by("worker_model", job) == Refused("not of this worker class")


def test_a_role_that_somebody_made_and_may_write_jobs_claims_as_before(job: Job) -> None:
    name = f"{roles.PREFIX}_by_hand"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE ROLE {name}")
        cursor.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {name}")
        # As the migration does.
        cursor.execute(function_set.ACCESS_RULES)
        cursor.execute(f"SET SESSION AUTHORIZATION {name}")
        found = claim(str(job.pk), worker="w", queues=["model"], lease_s=60)
        cursor.execute("RESET SESSION AUTHORIZATION")

    assert isinstance(found, Claimed)


def test_the_token_of_another_class_is_of_no_use(job: Job) -> None:
    """A worker may read jobs, with the tokens of all who run one."""
    token = uuid7()
    found = claimed_by("worker_model", job, token=token)
    assert isinstance(found, Claimed)

    effect = {"workflow": str(job.workflow_id), "job": str(job.pk), "token": str(token), "tenant": job.tenant_id,
              "key": "k", "type": "t", "request_sha256": "", "is_idempotent": False, "late_s": 30}  # fmt: skip
    with roles.session_of("worker_send"):
        for attempt in (
            lambda: database.call("checkpoint", job=job.pk, token=token, checkpoint={}),
            lambda: database.call("payload", job=job.pk, token=token),
            lambda: database.call("switch_model", job=job.pk, token=token, model="m"),
            lambda: database.call("confirm_effects", job=job.pk, token=token, effects=database.Jsonb([])),
            lambda: database.call_many("begin_effects", items=database.Jsonb([effect])),
            lambda: database.call_many("settle", items=database.Jsonb([settled(job, token)]), actor="w", waits=True),
        ):
            with refused():
                attempt()
    job.refresh_from_db()
    assert (job.state, job.lease_token) == ("running", token)

    with roles.session_of("worker_model"):
        assert database.call_many("settle", items=database.Jsonb([settled(job, token)]), actor="w", waits=True)
    job.refresh_from_db()
    assert job.state == "completed"


def test_the_dispatcher_ends_lost_attempts_of_every_class(job: Job) -> None:
    assert isinstance(claimed_by("worker_model", job), Claimed)
    job.refresh_from_db()

    with roles.session_of("worker_send"), refused():
        lose.lose(job, actor="w", is_certain=True)
    with roles.session_of("dispatcher"):
        assert lose.lose(job, actor="dispatcher", is_certain=True)


def settled(job: Job, token: UUID) -> dict[str, Any]:
    return {
        "workflow": str(job.workflow_id), "job": str(job.pk), "token": str(token), "state": "completed",
        "outcome": "completed", "output": {}, "reason": "", "effects": [], "is_counted": True,
    }  # fmt: skip


def test_an_effect_is_of_the_task_and_the_tenant_of_its_job(job: Job, other_principal: Principal) -> None:
    """Else a worker could make the mail of another tenant look sent."""
    token = uuid7()
    assert isinstance(claimed_by("worker_model", job, token=token), Claimed)
    effect = {"workflow": str(job.workflow_id), "job": str(job.pk), "token": str(token), "key": "k", "type": "t",
              "request_sha256": "", "is_idempotent": False, "late_s": 30}  # fmt: skip
    theirs = min(other_principal.tenant_ids or ())

    with roles.session_of("worker_model"):
        found = [
            database.call_many("begin_effects", items=database.Jsonb([effect | {"tenant": tenant}]))[0]
            for tenant in (theirs, job.tenant_id)
        ]

    assert [json.loads(json.dumps(each))["status"] for each in found] == ["lost", "begun"]
