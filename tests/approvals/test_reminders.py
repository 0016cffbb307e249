"""Approvals that wait are reminded of once and escalated once, and webhooks tell of it. [G2]"""

from __future__ import annotations

from datetime import timedelta

import pytest

from agentapp.clock import Clock
from agentapp.dispatch import timekeeper
from agentapp.errors import PermissionDenied
from agentapp.lifecycle import remind
from agentapp.models import Approval, History, Tenant, WebhookEvent
from agentapp.services import webhooks
from agentapp.services.principals import Principal
from tests.approvals.asking import PASSES, ask, decide, person, policy
from tests.harness import histories_are_legal

pytestmark = pytest.mark.django_db


def told(approval: Approval) -> list[str]:
    rows = WebhookEvent.objects.filter(workflow_id=approval.workflow_id).order_by("seq")
    return [row.type for row in rows if row.type.startswith("approval.")]


@pytest.fixture
def endpoint(principal: Principal, monkeypatch: pytest.MonkeyPatch) -> None:
    webhooks.create(principal, url="https://8.8.8.8/hook")


@pytest.mark.usefixtures("endpoint")
def test_each_is_done_once_however_many_dispatchers_ask(principal: Principal, tenant: Tenant, clock: Clock) -> None:
    policy(approvers=["finance"], remind_after_s=60, escalate_after_s=120, escalate_to=["managers"])
    approval, boss = ask(principal), person("boss", tenant, "managers")
    assert timekeeper.remind() == 0

    clock.advance(61)
    # What another dispatcher has found too.
    (found,) = remind.due()
    assert timekeeper.remind() == 1 and remind.remind(found, actor="dispatcher") is None
    with pytest.raises(PermissionDenied, match="decide here: finance"):
        decide(boss, approval)

    clock.advance(60)
    assert timekeeper.remind() == 1 and timekeeper.remind() == 0
    with pytest.raises(PermissionDenied, match="decide here: finance, managers"):
        decide(principal, approval)
    assert decide(boss, approval).state == "approved"

    assert told(approval) == ["approval.requested", "approval.reminded", "approval.escalated", "approval.decided"]
    said = History.objects.filter(approval_id=approval.pk).order_by("seq").values_list("to_state", "reason")
    assert list(said) == [("pending", ""), ("pending", "reminded"), ("pending", "escalated"), ("approved", "")]
    assert histories_are_legal()


def test_what_was_late_for_both_is_escalated_alone(principal: Principal, tenant: Tenant, clock: Clock) -> None:
    policy(remind_after_s=60, escalate_after_s=120, escalate_to=["managers"])
    approval = ask(principal)

    clock.advance(500)
    assert timekeeper.remind() == 1 and timekeeper.remind() == 0
    approval.refresh_from_db()
    assert (approval.remind_at, approval.escalate_at) == (None, None)
    assert approval.escalated_at == approval.created_at + timedelta(seconds=500)


def test_nobody_is_reminded_of_what_is_decided_or_has_expired(
    principal: Principal, tenant: Tenant, clock: Clock
) -> None:
    policy(remind_after_s=60, deadline_s=90)
    decided, expired = ask(principal), ask(principal)
    decide(principal, decided)
    clock.advance(91)

    (found,) = remind.due()
    assert found.pk == expired.pk and remind.remind(found, actor="dispatcher") is None
    assert timekeeper.expire_overdue() == 1 and remind.due() == []


@pytest.mark.usefixtures("endpoint")
def test_a_vote_is_no_decision_and_what_a_policy_let_pass_is_one(principal: Principal, tenant: Tenant) -> None:
    policy(quorum=2, sample_percent=0)
    asked, passed = ask(principal), ask(principal, **PASSES)
    decide(person("kim", tenant), asked)

    assert told(asked) == ["approval.requested"]
    assert told(passed) == ["approval.decided"]
