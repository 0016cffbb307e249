"""Two runs side by side: what a fork did otherwise, for whom may see it. [G5]"""

from __future__ import annotations

import pytest
from django.test import Client

from agentapp.models import Approval, Membership, Workflow
from agentapp.services import forks
from agentapp.services.principals import Principal
from tests import harness
from tests.admin.conftest import Start

pytestmark = pytest.mark.django_db


@pytest.fixture
def fork(principal: Principal, start: Start) -> Workflow:
    """A fork from the draft on, with another question."""
    origin = start(body="How long does it take?")
    changed = forks.fork(principal, origin.pk, from_stage="sample_draft", input={"body": "What does it cost?"})
    harness.drain()
    return Workflow.objects.get(pk=changed.pk)


def page(client: Client, before: object, after: object) -> str:
    return client.get("/admin/compare/", {"before": str(before), "after": str(after)}).content.decode()


def test_a_fork_stands_beside_its_origin(member: Client, fork: Workflow) -> None:
    shown = page(member, fork.forked_from, fork.pk)

    assert "The right one is a fork of the left one" in shown
    assert "sample_draft" in shown and "<ins>" in shown
    assert "the same" in shown
    origin = member.get(f"/admin/agentapp/workflow/{fork.forked_from}/change/").content.decode()
    assert f"/admin/compare/?before={fork.forked_from}&amp;after={fork.pk}" in origin


def test_who_may_not_see_payloads_compares_states_and_costs(reader: Client, fork: Workflow) -> None:
    assert "<ins>" in page(reader, fork.forked_from, fork.pk)
    Membership.objects.update(sees_payloads=False)

    shown = page(reader, fork.forked_from, fork.pk)
    assert "masked" in shown and "sample_draft" in shown and "What does it cost" not in shown and "<ins>" not in shown
    task = reader.get(f"/admin/agentapp/workflow/{fork.pk}/change/").content.decode()
    assert "Output" in task and "What does it cost" not in task


def test_what_a_visitor_may_not_see_is_as_unknown_as_none(stranger: Client, member: Client, waiting: Approval) -> None:
    mine = waiting.workflow_id
    for client, ids in ((stranger, (mine, mine)), (member, (mine, "x")), (member, (mine, ""))):
        answer = client.get("/admin/compare/", dict(zip(("before", "after"), map(str, ids), strict=True)))
        assert answer.status_code == 404 and "ids of two tasks that you may see" in answer.content.decode()
    assert member.get("/admin/compare/").status_code == 200
    # A role of another release allows nothing.
    Membership.objects.filter(user__username="member").update(role="auditor")
    assert member.get("/admin/compare/", {"before": str(mine), "after": str(mine)}).status_code == 404
