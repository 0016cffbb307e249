"""Whether a principal may decide on approvals, as the policies that asked say. The move itself asks again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from agentapp.models import Approval, ApprovalVote, Workflow
from agentapp.models.approval_policy import VoteDecision
from agentapp.policies import approving
from agentapp.policies.approving import Decider, Rules
from agentapp.services import delegations
from agentapp.services.principals import Principal
from agentapp.states import ApprovalState

NO_RIGHT = "This needs the scope approvals:decide."


def rules(approval: Approval) -> Rules:
    """The rules by which an approval is decided."""
    return {**approving.NONE, **(approval.policy or {})}


def votes_missing(approval: Approval, votes: Iterable[ApprovalVote] | None = None) -> int:
    """How many people must still approve it; read it with its votes and their people, or give them."""
    if approval.state != ApprovalState.PENDING:
        return 0
    quorum: int = rules(approval)["quorum"]
    if quorum == 1:
        return 1
    said = approval.votes.select_related("user", "for_user") if votes is None else votes
    approved = {vote.authority for vote in said if vote.decision == VoteDecision.APPROVED and counts(vote, approval)}
    return max(1, quorum - len(approved))


def counts(vote: ApprovalVote, approval: Approval) -> bool:
    """Whether a vote is of the content as it is now, and of people whose account is active."""
    people = (vote.user, vote.for_user)
    return vote.revision == approval.revision and all(each is None or each.is_active for each in people)


@dataclass(frozen=True)
class Groups:
    """The groups of a person, and their role in a tenant, which is named like one; and those of the people in whose
    place they decide there, by these."""

    own: frozenset[str] = frozenset()
    lent: Mapping[int, frozenset[str]] = field(default_factory=dict)


def groups_of(principal: Principal, tenant_id: int) -> Groups:
    """By which groups a person decides in a tenant. A key is in none."""
    return groups_by_tenant(principal, [tenant_id])[tenant_id]


def groups_by_tenant(principal: Principal, tenant_ids: Iterable[int]) -> dict[int, Groups]:
    """The same for several tenants."""
    tenant_ids = set(tenant_ids)
    if principal.user is None or not tenant_ids:
        return dict.fromkeys(tenant_ids, Groups())
    groups = frozenset(principal.user.groups.values_list("name", flat=True))
    roles = dict(principal.user.memberships.exclude(role="").values_list("tenant_id", "role"))
    lent = delegations.lent_groups(principal.user, tenant_ids)
    own = {tenant: groups | {roles[tenant]} if tenant in roles else groups for tenant in tenant_ids}
    return {tenant: Groups(held, lent.get(tenant, {})) for tenant, held in own.items()}


def takes_part(principal: Principal, approval: Approval) -> bool:
    """Whether the principal may decide at all: who may not approve may still reject, or edit for somebody else."""
    if approval.state != ApprovalState.PENDING or "approvals:decide" not in principal.scopes_in(approval.tenant_id):
        return False
    found, is_escalated = rules(approval), approval.escalated_at is not None
    groups = groups_of(principal, approval.tenant_id) if found["approvers"] else Groups()
    decider = Decider(groups.own, lent=_united(groups.lent.values()))
    return not approving.rule_against(found, decider, is_escalated=is_escalated, approves=False)


def refusal(principal: Principal, approval: Approval) -> str:
    """Say why the principal may not approve what an approval shows; empty where they may. Read it with its task and its
    votes."""
    return refusals(principal, [approval])[approval.pk]


def refusals(principal: Principal, approvals: Sequence[Approval]) -> dict[UUID, str]:
    """The same of many, by their ids."""
    # Only policies that name groups ask for them.
    groups = groups_by_tenant(principal, {each.tenant_id for each in approvals if rules(each)["approvers"]})
    creators = creators_of(approvals)
    return {
        each.pk: _refusal(
            principal, each, groups.get(each.tenant_id, Groups()), creators[each.workflow_id]
        ) for each in approvals
    }  # fmt: skip


def _refusal(principal: Principal, approval: Approval, groups: Groups, creators: set[int]) -> str:
    if "approvals:decide" not in principal.scopes_in(approval.tenant_id):
        return NO_RIGHT
    if approval.state != ApprovalState.PENDING:
        return f"This approval is already {approval.state.replace('_', ' ')}."
    found, is_escalated = rules(approval), approval.escalated_at is not None
    rule = approving.rule_against(
        found, decider_of(principal, approval, groups, creators), is_escalated=is_escalated
    )  # fmt: skip
    return approving.sentence(rule, found, is_escalated=is_escalated)


def decider_of(principal: Principal, approval: Approval, groups: Groups, creators: set[int]) -> Decider:
    """What the rules ask of a principal; `creators` are the people who asked for the task."""
    me = principal.user.pk if principal.user else None
    editors = {vote.user_id for vote in approval.votes.all() if vote.has_edited and vote.user_id is not None}
    authors = creators | editors
    return Decider(
        groups.own,
        is_key=principal.api_key is not None,
        is_creator=me in creators,
        has_edited=me in editors,
        lent=_united(held for giver, held in groups.lent.items() if giver not in authors),
        lent_by_authors=_united(held for giver, held in groups.lent.items() if giver in authors),
    )


def _united(groups: Iterable[frozenset[str]]) -> frozenset[str]:
    return frozenset[str]().union(*groups)


def creators_of(approvals: Iterable[Approval]) -> dict[UUID, set[int]]:
    """The people who asked for the task of each approval, or for one that it is a fork or a part of. One statement for
    each generation, where four eyes are asked for."""
    tasks = {each.workflow_id: each.workflow for each in approvals}
    found: dict[UUID, set[int]] = {pk: set() if task.user_id is None else {task.user_id} for pk, task in tasks.items()}
    asked = {each.workflow_id for each in approvals if rules(each)["four_eyes"]}
    above = {pk: _above(tasks[pk].forked_from, tasks[pk].parent) for pk in asked}
    seen = {pk: set(ids) for pk, ids in above.items()}
    while wanted := set[UUID]().union(*above.values()):
        read = Workflow.objects.filter(pk__in=wanted).values_list("pk", "user_id", "forked_from", "parent")
        rows = {pk: (user, _above(*ids)) for pk, user, *ids in read}
        for pk, ids in above.items():
            known = [rows[each] for each in ids if each in rows]
            found[pk] |= {user for user, _ in known if user is not None}
            above[pk] = set[UUID]().union(*(more for _, more in known)) - seen[pk]
            seen[pk] |= above[pk]
    return found


def _above(*ids: UUID | None) -> set[UUID]:
    return {each for each in ids if each is not None}
