"""The listeners of a process hear of every change of a task, once it is committed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any

import pytest
from django.db import transaction

from agentapp.lifecycle import changes
from agentapp.models import History, Workflow
from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests.harness import drain, run_workflow

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The tasks that were told, and nobody else listens."""
    found: list[str] = []
    listeners: list[Callable[[Collection[str]], Any]] = [found.extend]
    monkeypatch.setattr(changes, "_listeners", listeners)
    yield found


def test_every_move_that_writes_history_is_told(principal: Principal, told: list[str]) -> None:
    """Submit, claims, settles, a failure: as often as a transaction has written history."""
    workflow = run_workflow(principal, "probe_fan", {"fail": "permanent"})

    commits = History.objects.filter(workflow=workflow).values("at").distinct().count()
    assert set(told) == {str(workflow.pk)}
    assert len(told) >= commits


def test_a_permission_that_is_missing_is_told_too(principal: Principal, told: list[str]) -> None:
    workflow = workflows.submit(principal, kind="probe_fan", input={})
    told.clear()
    assert principal.api_key
    principal.api_key.revoked_at = workflow.created_at
    principal.api_key.save()

    drain()

    assert Workflow.objects.get().state == "needs_attention" and told == [str(workflow.pk)]


def test_a_transaction_tells_when_it_commits_and_not_when_it_is_undone(principal: Principal, told: list[str]) -> None:
    workflow = workflows.submit(principal, kind="probe_fan", input={})
    told.clear()

    with transaction.atomic():
        workflows.cancel(principal, workflow.pk, reason="undone")
        transaction.set_rollback(True)
    assert told == []
    with transaction.atomic():
        workflows.cancel(principal, workflow.pk, reason="kept")
        assert told == []
    assert told == [str(workflow.pk)]
