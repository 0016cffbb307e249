"""A look of the dispatcher: whether there is anything, before it reads what."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from agentapp import clock
from agentapp.lifecycle import begin_scheduled, make_due
from agentapp.models import Workflow
from agentapp.services import workflows
from agentapp.services.principals import Principal
from agentapp.states import WorkflowState

pytestmark = pytest.mark.django_db


def put_off(principal: Principal, *, minutes: int) -> Workflow:
    task = workflows.submit(principal, kind="probe_fan", input={})
    run_at = clock.now() + timedelta(minutes=minutes)
    Workflow.objects.filter(pk=task.pk).update(state=WorkflowState.SCHEDULED, run_at=run_at)
    return task


def test_a_look_sees_what_has_become_due_since_the_last_one(principal: Principal) -> None:
    """Its SQL is kept, the moment in it is not."""
    task = put_off(principal, minutes=5)
    assert begin_scheduled.due() == []

    Workflow.objects.filter(pk=task.pk).update(run_at=clock.now() - timedelta(minutes=5))

    assert begin_scheduled.due() == [task.pk]
    assert begin_scheduled.due(but_not=[task.pk]) == []


def test_a_look_goes_by_a_clock_that_is_stopped(principal: Principal) -> None:
    task = put_off(principal, minutes=5)

    with clock.frozen_at(clock.now() + timedelta(minutes=4)):
        assert begin_scheduled.due() == []
    with clock.frozen_at(clock.now() + timedelta(minutes=6)):
        assert begin_scheduled.due() == [task.pk]
    assert begin_scheduled.due() == []


def test_where_nothing_is_due_one_statement_is_run() -> None:
    with CaptureQueriesContext(
        connection,
    ) as asked:
        assert make_due.due() == []

    assert len(asked) == 1
