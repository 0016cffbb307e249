"""Tell people by mail of approvals that they may decide: of all that waits in one mail, one in a while."""

from __future__ import annotations

import logging
from datetime import timedelta

from agentapp.dispatch import publisher
from agentapp.dispatch.sweep import Sweep
from agentapp.lifecycle import approval_mails as moves
from agentapp.lifecycle import database
from agentapp.models import Approval, Delegation, Membership
from agentapp.observability import events
from agentapp.services import electorates
from agentapp.services.electorates import MOST_MAILED
from agentapp.services.principals import Principal

# After a mail the people of a tenant get none for so long; what is asked meanwhile stands in the next one.
PAUSE = timedelta(minutes=5)
MOST_TENANTS, MOST_APPROVALS, MOST_NAMED = 50, 1_000, 200

TENANTS = Sweep[int]("approval_mails", key=str)


def tell() -> int:
    """Write down the mails that are due, and return of how many approvals they tell."""
    aside = TENANTS.set_aside()
    return TENANTS.each(moves.tenants(pause=PAUSE, limit=MOST_TENANTS, but_not=aside), _tell)


def own(principal: Principal) -> list[Membership]:
    """The memberships of a person, each of which says whether they get mails."""
    if principal.user is None:
        return []
    return list(Membership.objects.filter(user=principal.user).select_related("tenant").order_by("tenant__slug"))


def choose(principal: Principal, wanted: set[int]) -> None:
    """Get mails of exactly those of one's own memberships."""
    for membership in own(principal):
        if membership.gets_mails != (membership.pk in wanted):
            Membership.objects.filter(pk=membership.pk).update(gets_mails=membership.pk in wanted)


def _tell(tenant_id: int) -> int:
    """All of a round is one commit: a dispatcher that is killed in the middle of it has told nobody."""
    with database.atomic():
        members, approvals = moves.members(tenant_id), moves.due(tenant_id, limit=MOST_APPROVALS)
        if not approvals:
            return 0
        wanted = _wanted(tenant_id, members, approvals)
        told, left_out = wanted[:MOST_MAILED], wanted[MOST_MAILED:]
        for member, mine in told:
            publisher.publish(moves.write_down(member, mine, most=MOST_NAMED))
        moves.told(approvals, [member.pk for member, _ in told])
    if left_out:
        events.emit(
            "approval_mails.cut", level=logging.WARNING, tenant=tenant_id, most=MOST_MAILED, left_out=len(left_out)
        )
    return len(approvals)


def _wanted(
    tenant_id: int, members: list[Membership], approvals: list[Approval]
) -> list[tuple[Membership, list[Approval]]]:
    """Whom to tell of what: members who may decide it, by themselves or in the place of another."""
    able = electorates.able(approvals)
    lent = Delegation.objects.filter(tenant=tenant_id, until__gt=database.moment())
    people = {member.user_id: {member.user_id} for member in members}
    for delegate, user in lent.values_list("delegate_id", "user_id"):
        people.get(delegate, set()).add(user)
    found = [(member, [each for each in approvals if people[member.user_id] & able[each.pk]]) for member in members]
    return [(member, mine) for member, mine in found if mine]
