"""Claims on approvals: who looks after which, for how long, and what is hidden for a while. [G1]"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from agentapp.errors import IllegalMove, InvalidInput
from agentapp.models import Approval, History, Tenant
from agentapp.services import api_keys, approvals, assignments, principals
from agentapp.services.principals import Principal
from tests.harness import run_workflow
from tests.lifecycle.test_dead_letter_races import at_once

pytestmark = pytest.mark.django_db


@pytest.fixture
def asked(principal: Principal) -> Approval:
    return Approval.objects.get(workflow=run_workflow(principal, "probe_decision", {"text": "hello"}))


@pytest.fixture
def colleague(tenant: Tenant) -> Principal:
    return principals.of_key(
        api_keys.create(tenant=tenant, name="Anna", scopes=["approvals:read", "approvals:decide"])[0]
    )


def noted(approval: Approval) -> list[str]:
    rows = History.objects.filter(approval_id=approval.pk, from_state="pending", to_state="pending").order_by("seq")
    return list(rows.values_list("reason", flat=True))


def lists(principal: Principal) -> dict[str, int]:
    rows = approvals.listing(principal).filter(state="pending")
    return {whom: assignments.assigned_to(rows, principal, whom).count() for whom in ("me", "nobody", "anybody")}


def test_a_claim_shows_who_looks_after_it_and_lapses(
    principal: Principal, colleague: Principal, asked: Approval, clock: Any
) -> None:
    claimed = assignments.claim(colleague, asked.pk)
    assert assignments.holder(claimed).startswith("Anna")
    assert (lists(colleague), lists(principal)["me"]) == ({"me": 1, "nobody": 0, "anybody": 1}, 0)
    with pytest.raises(IllegalMove, match="Somebody else has claimed"):
        assignments.claim(principal, asked.pk)

    # A second click is the first, and prolongs it.
    clock.advance(60)
    assert assignments.claim(colleague, asked.pk).claimed_until == clock.now() + timedelta(minutes=30)
    clock.advance(30 * 60)
    assert lists(colleague) == {"me": 0, "nobody": 1, "anybody": 0}
    assert not assignments.holder(Approval.objects.get(pk=asked.pk))
    assignments.claim(principal, asked.pk)
    assignments.claim(colleague, asked.pk, takes_over=True)
    assignments.release(principal, asked.pk)
    assignments.release(principal, asked.pk)

    assert lists(principal)["nobody"] == 1
    assert noted(asked) == ["claimed", "claimed", "claimed", "released"]


def test_who_may_decide_may_decide_on_what_somebody_else_has_claimed(
    principal: Principal, colleague: Principal, asked: Approval
) -> None:
    assignments.claim(colleague, asked.pk)

    approvals.decide(principal, asked.pk, decision="approve", content_sha256=asked.content_sha256)

    with pytest.raises(IllegalMove, match="already approved"):
        assignments.claim(colleague, asked.pk)


def test_a_snoozed_approval_comes_back_by_itself(principal: Principal, asked: Approval, clock: Any) -> None:
    rows = approvals.listing(principal)
    assignments.snooze(principal, asked.pk, until=clock.now() + timedelta(hours=2))
    assert (assignments.not_snoozed(rows).count(), assignments.snoozed(rows).count()) == (0, 1)
    clock.advance(2 * 3_600)
    assert (assignments.not_snoozed(rows).count(), assignments.snoozed(rows).count()) == (1, 0)
    assert noted(asked) == ["snoozed until 2030-01-01 14:00 UTC"]


@pytest.mark.parametrize("hours", [-1, 0, 24 * 91])
def test_nothing_is_hidden_for_no_time_or_for_good(
    principal: Principal, asked: Approval, clock: Any, hours: int
) -> None:
    with pytest.raises(InvalidInput):
        assignments.snooze(principal, asked.pk, until=clock.now() + timedelta(hours=hours))


def test_nothing_is_hidden_beyond_its_expiry(principal: Principal, asked: Approval, clock: Any) -> None:
    Approval.objects.filter(pk=asked.pk).update(expires_at=clock.now() + timedelta(hours=1))
    with pytest.raises(InvalidInput, match="before the approval expires"):
        assignments.snooze(principal, asked.pk, until=clock.now() + timedelta(hours=2))


@pytest.mark.django_db(transaction=True)
def test_of_two_who_claim_at_once_one_has_it(principal: Principal, colleague: Principal, asked: Approval) -> None:
    ends = at_once([partial(assignments.claim, each, asked.pk) for each in (principal, colleague)])

    assert sorted(ends) == ["IllegalMove", "done"]
    assert noted(asked) == ["claimed"]
