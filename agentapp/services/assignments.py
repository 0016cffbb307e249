"""Who has claimed which approval. A claim is advice: others may decide on it too."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from django.db.models import Q, QuerySet

from agentapp import clock, conf
from agentapp.errors import InvalidInput
from agentapp.lifecycle import assign as move
from agentapp.lifecycle import database
from agentapp.models import Approval
from agentapp.services import approvals, delegations
from agentapp.services.principals import Principal, owner
from agentapp.states import ApprovalState

Assigned = Literal["me", "nobody", "anybody"]
LONGEST_SNOOZE = timedelta(days=90)


def claim(principal: Principal, approval_id: UUID, *, takes_over: bool = False) -> Approval:
    """Say that this principal looks after an approval; it lapses after a while. Once more prolongs it.

    Raises:
        IllegalMove: somebody else has claimed it, and `takes_over` is not said; or it is decided.
        NotFound: there is none that the principal may see.
        PermissionDenied: the scope approvals:decide is missing, or by the policy somebody else decides.
    """
    return _assign(principal, approval_id, "claim", for_s=60 * conf.claim_minutes(), takes_over=takes_over)


def assign(principal: Principal, approval_id: UUID, *, person: str) -> Approval:
    """Say that another person looks after an approval, who did before no longer does. Like a claim it lapses.

    Raises:
        InvalidInput: the person is not known, may not decide in this tenant, or by the policy does not decide on it.
        IllegalMove, NotFound, PermissionDenied: as of `claim`.
    """
    approval = approvals.to_decide(principal, approval_id)
    colleague = delegations.person(person, approval.tenant_id, at="person")
    return _assign(
        principal, approval_id, "claim", for_s=60 * conf.claim_minutes(), takes_over=True, person_id=colleague.pk
    )


def release(principal: Principal, approval_id: UUID) -> Approval:
    """Let others look after it, also what somebody else has claimed. Raises like `claim`."""
    return _assign(principal, approval_id, "release")


def snooze(principal: Principal, approval_id: UUID, *, until: datetime | None) -> Approval:
    """Hide an approval from everybody's list until a moment before it expires; None: no longer.

    Raises:
        InvalidInput: the moment is over, too far away, or after its expiry.
        PermissionDenied: as of `claim`.
    """
    if until is not None and until > clock.now() + LONGEST_SNOOZE:
        raise InvalidInput.at("until", f"Name a moment within {LONGEST_SNOOZE.days} days.")
    return _assign(principal, approval_id, "snooze", until=until)


def _assign(
    principal: Principal, approval_id: UUID, what: move.What, *, for_s: float = 0, until: datetime | None = None,
    takes_over: bool = False, person_id: int | None = None,
) -> Approval:  # fmt: skip
    approval = approvals.to_decide(principal, approval_id)
    move.assign(
        approval, what, actor=principal.actor, **owner(principal), for_s=for_s, until=until, takes_over=takes_over,
        person_id=person_id,
    )  # fmt: skip
    return approvals.get(principal, approval_id)


def assigned_to(rows: QuerySet[Approval], principal: Principal, whom: Assigned) -> QuerySet[Approval]:
    """Those that the principal has claimed, or somebody, or nobody. A claim that has lapsed counts no longer."""
    claimed = Q(claimed_until__gt=database.moment())
    if whom == "anybody":
        return rows.filter(claimed)
    if whom == "nobody":
        return rows.filter(Q(claimed_until=None) | ~claimed)
    mine = Q(claimed_by_user=principal.user) if principal.user else Q(claimed_by_key=owner(principal)["api_key_id"])
    return rows.filter(claimed, mine)


def not_snoozed(rows: QuerySet[Approval]) -> QuerySet[Approval]:
    return rows.filter(Q(snoozed_until=None) | Q(snoozed_until__lte=database.moment()))


def snoozed(rows: QuerySet[Approval]) -> QuerySet[Approval]:
    return rows.filter(state=ApprovalState.PENDING, snoozed_until__gt=database.moment())


def holder(approval: Approval) -> str:
    """The name of the person or key that looks after an approval; empty: nobody does, or the claim has lapsed."""
    if approval.claimed_until is None or approval.claimed_until <= clock.now():
        return ""
    if approval.claimed_by_user:
        return approval.claimed_by_user.get_username()
    return str(approval.claimed_by_key or "")
