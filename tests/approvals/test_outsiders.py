"""Who may not decide on an approval does not hide it, claim it or take it back either. [G2]"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from agentapp.clock import Clock
from agentapp.dispatch import timekeeper
from agentapp.errors import PermissionDenied
from agentapp.models import Approval, Tenant
from agentapp.services import assignments, withdrawals
from agentapp.services.principals import Principal
from tests.approvals.asking import ask, decide, person, policy

pytestmark = pytest.mark.django_db


@pytest.fixture
def asked(principal: Principal, clock: Clock) -> Approval:
    policy(approvers=["finance"], remind_after_s=60, escalate_after_s=120, escalate_to=["managers"], deadline_s=3_600)
    return ask(principal)


def test_who_may_not_decide_takes_no_approval_back(principal: Principal, tenant: Tenant, asked: Approval) -> None:
    decide(person("kim", tenant, "finance"), asked)

    for outsider in (person("lee", tenant, "managers"), principal):
        with pytest.raises(PermissionDenied, match="only people of these groups decide here: finance"):
            withdrawals.withdraw(outsider, asked.pk)
    assert Approval.objects.get().state == "approved"
    again = withdrawals.withdraw(person("max", tenant, "finance"), asked.pk)
    with pytest.raises(PermissionDenied, match="decide here: finance"):
        withdrawals.withdraw(principal, asked.pk)
    assert again.state == "pending"


ACTS: dict[str, Callable[[Principal, Approval], Approval]] = {
    "claim": lambda who, asked: assignments.claim(who, asked.pk),
    "take over": lambda who, asked: assignments.claim(who, asked.pk, takes_over=True),
    "snooze": lambda who, asked: assignments.snooze(who, asked.pk, until=asked.created_at + timedelta(minutes=5)),
    "wake": lambda who, asked: assignments.snooze(who, asked.pk, until=None),
}


@pytest.mark.parametrize("act", list(ACTS))
def test_who_may_not_decide_neither_claims_nor_hides_it(
    tenant: Tenant, asked: Approval, clock: Clock, act: str
) -> None:
    boss = person("boss", tenant, "managers")

    with pytest.raises(PermissionDenied, match="only people of these groups decide here: finance"):
        ACTS[act](boss, asked)
    assignments.release(boss, asked.pk)

    clock.advance(121)
    assert timekeeper.remind() == 1
    assert ACTS[act](boss, asked).state == "pending"


def test_under_four_eyes_who_may_only_reject_may_claim_it(principal: Principal) -> None:
    policy(four_eyes=True)

    assert assignments.claim(principal, ask(principal).pk).claimed_by_key is not None


@pytest.mark.parametrize("after_s", [61, 121])
def test_a_reminder_and_an_escalation_show_what_was_snoozed(
    tenant: Tenant, asked: Approval, clock: Clock, after_s: int
) -> None:
    assignments.snooze(person("kim", tenant, "finance"), asked.pk, until=asked.created_at + timedelta(minutes=50))
    rows = Approval.objects.all()
    assert not assignments.not_snoozed(rows).exists()

    clock.advance(after_s)
    assert timekeeper.remind() == 1

    assert assignments.not_snoozed(rows).exists()
