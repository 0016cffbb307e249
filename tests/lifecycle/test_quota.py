"""How many tasks may wait holds for every task that is made, from the first one on. [A8]"""

from __future__ import annotations

from datetime import timedelta

import pytest

from agentapp.errors import Overloaded
from agentapp.lifecycle import gates
from agentapp.models import Gate, Limit, Workflow
from agentapp.services import forks, workflows
from agentapp.services.principals import Principal
from tests.harness import run_workflow, workflow_path

pytestmark = pytest.mark.django_db(transaction=True)


def most_waiting(count: int, scope: str = "tenant") -> None:
    pattern = "*" if scope == "tenant" else "global"
    gates.keep(Gate(scope=scope, pattern=pattern, max_waiting=count), actor="test")


@pytest.mark.parametrize("scope", ["tenant", "global"])
def test_the_most_that_may_wait_holds_before_anybody_has_waited(principal: Principal, scope: str) -> None:
    most_waiting(0, scope)
    assert not Limit.objects.filter(scope="tenant").exists()

    with pytest.raises(Overloaded, match="no more than 0 may"):
        workflows.submit(principal, kind="probe_fan", input={})

    assert not Workflow.objects.exists()


def test_a_fork_waits_and_counts_like_any_task(principal: Principal) -> None:
    origin = run_workflow(principal, "probe_fan")
    most_waiting(2)
    first = forks.fork(principal, origin.pk, from_stage="probe_sum")
    assert workflow_path(first) == "pending"
    forks.fork(principal, origin.pk, from_stage="probe_part")

    with pytest.raises(Overloaded, match="no more than 2 may"):
        forks.fork(principal, origin.pk, from_stage="probe_sum")
    with pytest.raises(Overloaded, match="no more than 2 may"):
        workflows.submit(principal, kind="probe_fan", input={})

    assert Workflow.objects.count() == 3


def test_a_fork_has_as_long_as_its_origin_had(principal: Principal) -> None:
    origin = run_workflow(principal, "probe_fan", deadline_s=600)
    endless = run_workflow(principal, "probe_fan")

    fork = forks.fork(principal, origin.pk, from_stage="probe_sum")

    assert fork.deadline_at is not None and fork.deadline_at - fork.created_at == timedelta(seconds=600)
    assert forks.fork(principal, endless.pk, from_stage="probe_sum").deadline_at is None
