"""Whether a principal may decide on approvals, as the policies that asked say. The move itself asks again."""

from __future__ import annotations

from collections.abc import Iterable

from agentapp.models import Approval
from agentapp.policies import approving
from agentapp.policies.approving import Decider, Rules
from agentapp.services.principals import Principal, owner
from agentapp.states import ApprovalState

NO_RIGHT = "This needs the scope approvals:decide."


def rules(approval: Approval) -> Rules:
    """The rules by which an approval is decided."""
    return {**approving.NONE, **(approval.policy or {})}


def votes_missing(approval: Approval) -> int:
    """How many people must still approve it."""
    waits = approval.state == ApprovalState.PENDING
    return max(1, approval.votes_missing) if waits else 0


def groups_of(principal: Principal, tenant_id: int) -> frozenset[str]:
    """The groups of a person, and their role in a tenant, which is named like one; a key is in none."""
    return groups_by_tenant(principal, [tenant_id])[tenant_id]


def groups_by_tenant(principal: Principal, tenant_ids: Iterable[int]) -> dict[int, frozenset[str]]:
    """The same for several tenants."""
    tenant_ids = set(tenant_ids)
    if principal.user is None or not tenant_ids:
        return dict.fromkeys(tenant_ids, frozenset())
    groups = frozenset(principal.user.groups.values_list("name", flat=True))
    roles = dict(principal.user.memberships.exclude(role="").values_list("tenant_id", "role"))
    return {tenant: groups | {roles[tenant]} if tenant in roles else groups for tenant in tenant_ids}


def refusal(principal: Principal, approval: Approval, *, groups: frozenset[str] | None = None) -> str:
    """Say why the principal may not approve what an approval shows; empty where they may.

    Read it with its task and its votes. Who asks about many says the principal's `groups` in its tenant.
    """
    if "approvals:decide" not in principal.scopes_in(approval.tenant_id):
        return NO_RIGHT
    if approval.state != ApprovalState.PENDING:
        return f"This approval is already {approval.state.replace('_', ' ')}."
    me, found = owner(principal), rules(approval)
    decider = Decider(
        groups_of(principal, approval.tenant_id) if groups is None else groups,
        is_creator=_is(me, approval.workflow.user_id, approval.workflow.api_key_id),
        has_edited=any(vote.has_edited and _is(me, vote.user_id, vote.api_key_id) for vote in approval.votes.all()),
    )
    is_escalated = approval.escalated_at is not None
    rule = approving.rule_against(found, decider, is_escalated=is_escalated)
    return approving.sentence(rule, found, is_escalated=is_escalated)


def _is(me: dict[str, int | None], user: int | None, key: int | None) -> bool:
    return (user is not None and user == me["user_id"]) or (key is not None and key == me["api_key_id"])
