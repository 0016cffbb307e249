"""Equal mails of low risk, approved together: each by the hash of what was shown, and as a decision of its own. [G3]"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from agentapp.errors import IllegalMove, InvalidInput, NotFound, PermissionDenied
from agentapp.models import Approval
from agentapp.policies.content import is_mail
from agentapp.policies.permissions import PAYLOADS
from agentapp.services import already_sent, approvals, assignments, deciders, withdrawals
from agentapp.services.principals import Principal
from agentapp.states import ApprovalState

# As many as a person can be expected to read before one confirmation.
MOST = 50
TOO_MANY = f"At most {MOST} approvals are approved together."
NOT_LOW = "Only what is of low risk is approved together; this is of {} risk."
NO_MAIL = (
    "Only mails are approved together: read the arguments of a tool and the numbers of a budget on their own page."
)
OTHER = "Its workflow kind or its policy is another than that of the first one."
VOTES = "Its policy asks several people."
EDITED = "It was edited, or has changed since it was first asked."
BELOW = "Its evaluation is below the required score."
SENT = "A task of the same origin has sent something already."
CLAIMED = "{} looks after it."
CHANGED = "It has changed since it was shown."
HIDDEN = "You may not see payloads of its tenant."


@dataclass(frozen=True)
class Equal:
    """Approvals that are approved together, and those that are not, each with the reason."""

    approvals: list[Approval] = field(default_factory=list)
    left_out: list[tuple[Approval, str]] = field(default_factory=list)


def sort_out(principal: Principal, ids: Sequence[UUID]) -> Equal:
    """Find those among some approvals that may be approved together, in the order of `ids`; the first sets the kind and
    the policy. What the principal does not see is not there.

    Raises:
        InvalidInput: they are too many.
        PermissionDenied: the principal decides nothing.
    """
    principal.require("approvals:decide")
    if len(ids) > MOST:
        raise InvalidInput(TOO_MANY)
    visible = approvals.listing(principal).select_related("workflow", "tenant", "claimed_by_user", "claimed_by_key")
    rows = {each.pk: each for each in visible.filter(pk__in=ids)}
    found = [rows[pk] for pk in dict.fromkeys(ids) if pk in rows]
    refusals, sent = deciders.refusals(principal, found), already_sent.of(found)
    equal = Equal()
    for each in found:
        first = equal.approvals[0] if equal.approvals else each
        reason = refusals[each.pk] or _unequal(principal, each, first) or (SENT if sent[each.workflow_id] else "")
        if reason:
            equal.left_out.append((each, reason))
        else:
            equal.approvals.append(each)
    return equal


def approve(principal: Principal, shown: Mapping[UUID, str]) -> Equal:
    """Approve those whose content still has the hash that was shown, each in a transaction of its own. What was
    approved so by the same person before counts as approved: two clicks are one. Raises as `sort_out`."""
    principal.require("approvals:decide")
    done = Equal()
    before = _approved_before(principal, shown)
    equal = sort_out(principal, [pk for pk in shown if pk not in before])
    done.approvals.extend(before.values())
    done.left_out.extend(equal.left_out)
    for each in equal.approvals:
        try:
            done.approvals.append(_approve(principal, each, shown[each.pk]))
        except (IllegalMove, InvalidInput, NotFound, PermissionDenied) as error:
            done.left_out.append((each, str(error)))
    return done


def withdraw(principal: Principal, ids: Sequence[UUID]) -> Equal:
    """Take several approvals back, of which nothing was sent; `approvals` are those that ask again."""
    if len(ids) > MOST:
        raise InvalidInput(TOO_MANY)
    done = Equal()
    for each in approvals.listing(principal).filter(pk__in=ids):
        try:
            done.approvals.append(withdrawals.withdraw(principal, each.pk))
        except (IllegalMove, NotFound, PermissionDenied) as error:
            done.left_out.append((each, str(error)))
    return done


def _approve(principal: Principal, approval: Approval, sha256: str) -> Approval:
    if approval.content_sha256 != sha256:
        raise IllegalMove(CHANGED)
    return approvals.decide(principal, approval.pk, decision="approve", content_sha256=sha256)


def _approved_before(principal: Principal, shown: Mapping[UUID, str]) -> dict[UUID, Approval]:
    if principal.user is None or len(shown) > MOST:
        return {}
    rows = approvals.listing(principal).filter(
        pk__in=shown, state=ApprovalState.APPROVED, decided_by_user=principal.user
    )  # fmt: skip
    return {each.pk: each for each in rows if each.approved_sha256 == shown[each.pk]}


def _unequal(principal: Principal, approval: Approval, first: Approval) -> str:
    """Say why an approval is decided on its own page; empty where it need not be."""
    if PAYLOADS not in principal.scopes_in(approval.tenant_id):
        return HIDDEN
    if approval.risk != "low" or approval.workflow.risk not in ("", "low"):
        return NOT_LOW.format(approval.risk if approval.risk != "low" else approval.workflow.risk)
    if not is_mail(approval.content) or not approval.content.keys() >= {"subject", "body"}:
        return NO_MAIL
    if deciders.rules(approval)["quorum"] > 1:
        return VOTES
    if approval.revision or approval.content != approval.draft:
        return EDITED
    if isinstance(approval.evaluation, dict) and approval.evaluation.get("verdict") in ("revise", "unfounded"):
        return BELOW
    if _like(approval) != _like(first):
        return OTHER
    holder = assignments.holder(approval)
    is_mine = principal.user is not None and approval.claimed_by_user_id == principal.user.pk
    return CLAIMED.format(holder) if holder and not is_mine else ""


def _like(approval: Approval) -> tuple[str, object]:
    return approval.workflow.kind, approval.policy
