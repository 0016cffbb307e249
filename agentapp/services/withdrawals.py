"""Approvals that are taken back before anything is sent."""

from __future__ import annotations

from uuid import UUID

from agentapp.lifecycle import withdraw as move
from agentapp.models import Approval
from agentapp.services import approvals
from agentapp.services.principals import Principal, owner

REASON = "withdrawn"


def withdraw(principal: Principal, approval_id: UUID, *, reason: str = "") -> Approval:
    """Withdraw an approval of which nothing was sent, and return the one that asks now. [G1]

    Who may decide may also withdraw what somebody else has approved.

    Raises:
        IllegalMove: it was sent already, or was never approved.
        NotFound: there is none that the principal may see.
        PermissionDenied: the scope approvals:decide is missing, or by the policy somebody else decides.
    """
    approval = approvals.to_decide(principal, approval_id)
    asked = move.withdraw(approval, actor=principal.actor, **owner(principal), reason=reason.strip() or REASON)
    return approvals.get(principal, asked)
