"""A meter is charged at the moment at which the job begins, however long it has waited for the gate's row. [E2] INV5"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial

import pytest
from django.db import connection

from agentapp.lifecycle import gates, switch_model
from agentapp.lifecycle.claim import claim
from agentapp.lifecycle.opened import Claimed
from agentapp.models import Gate, Job, Limit
from agentapp.policies.permissions import WORKER_CLASS_SCOPES
from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests.lifecycle.held_row import held

pytestmark = [pytest.mark.django_db(transaction=True)]

STEP = timedelta(seconds=1)


def first_job(principal: Principal) -> Job:
    task = workflows.submit(principal, kind="probe_fan", input={})
    return Job.objects.get(workflow=task, type="probe_first")


def take(job: Job) -> Claimed:
    taken = claim(str(job.pk), worker="worker", queues=tuple(WORKER_CLASS_SCOPES), lease_s=60)
    assert isinstance(taken, Claimed)
    return taken


def paced(scope: str, name: str) -> str:
    """Make a gate of one request each STEP, and return the key of its limit."""
    gates.keep(Gate(scope=scope, pattern=name, requests_per_min=60, request_burst=1), actor="test")
    key = f"{scope}:{name}"
    gates.know([key])
    return key


def clock_of_postgres() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        at: datetime = cursor.fetchone()[0]
    return at


def test_a_claim_is_charged_when_its_job_begins(principal: Principal) -> None:
    key = paced("job_type", "probe_first")
    job = first_job(principal)
    with held("agentapp_limit", key, column="key") as line:
        line.join(partial(take, job))
        line.release()

    job.refresh_from_db()
    assert job.started_at is not None
    assert Limit.objects.get(key=key).request_at == job.started_at + STEP


def test_another_model_is_charged_once_its_row_is_locked(principal: Principal) -> None:
    key = paced("model", "second")
    mine = take(first_job(principal))
    with held("agentapp_limit", key, column="key") as line:
        line.join(partial(switch_model.switch, mine, "second"))
        waited = clock_of_postgres()
        (passed,) = line.release()

    assert passed is not None
    at = Limit.objects.get(key=key).request_at
    assert at is not None and at >= waited + STEP
