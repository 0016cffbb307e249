"""Tell people by mail of approvals that they may decide: of all that waits in one mail, one in a while."""

from __future__ import annotations

from datetime import timedelta

from agentapp.dispatch import publisher
from agentapp.dispatch.sweep import Sweep
from agentapp.lifecycle import approval_mails as moves
from agentapp.lifecycle import database
from agentapp.models import Delegation, Membership
from agentapp.services import electorates
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
    members = Membership.objects.filter(tenant=tenant_id)
    approvals = moves.due(tenant_id, limit=MOST_APPROVALS)
    able = electorates.able(approvals)
    lent = Delegation.objects.filter(tenant=tenant_id, until__gt=database.moment())
    instead_of = list(lent.values_list("delegate_id", "user_id"))
    told = []
    wanted = members.filter(gets_mails=True, user__is_active=True).exclude(user__email="").select_related("user")
    for member in wanted.order_by("pk"):
        people = {member.user_id, *(user for delegate, user in instead_of if delegate == member.user_id)}
        mine = [each for each in approvals if people & able[each.pk]]
        if not mine:
            continue
        opened = moves.write_down(member, mine, most=MOST_NAMED)
        if opened is not None:
            publisher.publish(opened)
        told.append(member.pk)
    moves.told(approvals, told)
    return len(approvals)
