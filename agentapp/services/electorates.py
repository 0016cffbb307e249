"""Who could decide an approval, by the groups as they are now: people are told of what nobody can decide. [G2]"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

from django.contrib.auth.models import User

from agentapp import conf
from agentapp.models import Approval, ApprovalPolicy, ApprovalVote, Tenant
from agentapp.models.approval_policy import VoteDecision
from agentapp.policies import approving
from agentapp.services import deciders, electors
from agentapp.services.electors import People
from agentapp.states import ApprovalState

# Of the tenants in which a policy asks for too many, so many are named.
MOST_NAMED = 5
NO_LINKS = "Its mails have no links to the approvals: AGENTAPP_PUBLIC_URL is not set."
MOST_COLLEAGUES = 200
# So many people of a tenant are told by mail at once.
MOST_MAILED = 100


def undecidable(approvals: Sequence[Approval]) -> dict[UUID, str]:
    """Say of each approval why nobody can decide it; empty where somebody can. Read them with their tasks."""
    found = dict.fromkeys((each.pk for each in approvals), "")
    asked = [each for each in approvals if each.state == ApprovalState.PENDING and _is_bound(each)]
    if not asked:
        return found
    people, creators = electors.of({each.tenant_id for each in asked}), deciders.creators_of(asked)
    votes = list(ApprovalVote.objects.filter(approval__in=asked).exclude(user=None).select_related("user", "for_user"))
    for each in asked:
        own = [vote for vote in votes if vote.approval_id == each.pk]
        rules, missing = deciders.rules(each), deciders.votes_missing(each, own)
        can_escalate = each.escalated_at is not None or each.escalate_at is not None
        groups = approving.deciding_groups(rules, is_escalated=can_escalate)
        able = _able(people[each.tenant_id], groups)
        if rules["four_eyes"]:
            able -= creators[each.workflow_id] | {vote.user_id for vote in own if vote.has_edited}
        approved = VoteDecision.APPROVED
        able -= {vote.authority[0] for vote in own if vote.revision == each.revision and vote.decision == approved}
        if len(able) < missing:
            found[each.pk] = f"Nobody can decide this: {approving.shortage(groups, able=len(able), needed=missing)}"
    return found


def able(approvals: Sequence[Approval]) -> dict[UUID, set[int | None]]:
    """Who may approve each of these, by the ids of people; as many statements for any number. Read them with their
    tasks."""
    people, creators = electors.of({each.tenant_id for each in approvals}), deciders.creators_of(approvals)
    found = {}
    for each in approvals:
        found[each.pk] = _of_policy(each, people)
        if deciders.rules(each)["four_eyes"]:
            found[each.pk] -= creators[each.workflow_id]
    return found


def colleagues(approval: Approval) -> list[str]:
    """The names of the people who may decide an approval as it is now: who could look after it."""
    able = [pk for pk in _of_policy(approval, electors.of({approval.tenant_id})) if pk is not None]
    names = User.objects.filter(pk__in=able).order_by("username").values_list("username", flat=True)
    return list(names[:MOST_COLLEAGUES])


def warning(policy: ApprovalPolicy) -> str:
    """Say in which tenants a policy asks for more people than there are, or tells fewer by mail than may decide; empty
    where there are enough."""
    return warnings([policy])[policy.pk]


def warnings(policies: Sequence[ApprovalPolicy]) -> dict[int, str]:
    """The same of many, by their ids, in as many statements for any number."""
    found = dict.fromkeys((each.pk for each in policies), "")
    bound = [each for each in policies if _binds(each) or each.mails_approvers]
    if not bound:
        return found
    named = [each.tenant for each in bound if each.tenant]
    tenants = list(Tenant.objects.order_by("slug")) if len(named) < len(bound) else named
    people = electors.of({tenant.pk for tenant in tenants})
    for each in bound:
        found[each.pk] = _warning(each, [each.tenant] if each.tenant else tenants, people)
    return found


def without_links(policy: ApprovalPolicy) -> str:
    """Say that the mails of a policy have no links; empty where it sends none, or they have."""
    return NO_LINKS if policy.mails_approvers and not conf.public_url() else ""


def _warning(policy: ApprovalPolicy, tenants: list[Tenant], people: People) -> str:
    groups = list(dict.fromkeys((*policy.approvers, *policy.escalate_to))) if policy.approvers else []
    able = {tenant.slug: len(_able(people[tenant.pk], groups)) for tenant in tenants}
    found = []
    if _binds(policy) and (short := [slug for slug, number in able.items() if number < policy.quorum]):
        shortage = approving.shortage(groups, able=able[short[0]], needed=policy.quorum)
        found.append(f"Nobody can decide in {_named(short)}: {shortage}")
    if policy.mails_approvers and (many := [slug for slug, number in able.items() if number > MOST_MAILED]):
        found.append(f"More than {MOST_MAILED} may decide in {_named(many)}: so many are told by mail, in turn.")
    return " ".join(found)


def _named(slugs: list[str]) -> str:
    more = f" and {len(slugs) - MOST_NAMED} more" if len(slugs) > MOST_NAMED else ""
    return f"{', '.join(slugs[:MOST_NAMED])}{more}"


def _binds(policy: ApprovalPolicy) -> bool:
    return bool(policy.approvers) or policy.four_eyes or policy.quorum > 1


def _is_bound(approval: Approval) -> bool:
    rules = deciders.rules(approval)
    return bool(rules["approvers"]) or approving.wants_people(rules)


def _of_policy(approval: Approval, people: People) -> set[int | None]:
    """The people whom the policy of an approval asks now."""
    groups = approving.deciding_groups(deciders.rules(approval), is_escalated=approval.escalated_at is not None)
    return _able(people[approval.tenant_id], groups)


def _able(people: dict[int, frozenset[str]], groups: Iterable[str]) -> set[int | None]:
    wanted = frozenset(groups)
    return {pk for pk, own in people.items() if not wanted or wanted & own}
