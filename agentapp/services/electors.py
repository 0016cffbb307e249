"""Who may decide on approvals, in each of many tenants: as many statements for any number of people. [G2]"""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db.models import Q

from agentapp.models import Membership
from agentapp.policies.permissions import PERMISSION_OF_SCOPE, ROLES

_DECIDES = "approvals:decide"
_BACKEND = "django.contrib.auth.backends.ModelBackend"
# By tenant and person, the groups and the role there.
People = dict[int, dict[int, frozenset[str]]]


def of(tenants: set[int]) -> People:
    """Who may decide in each tenant, with their groups and their role there, which is named like one."""
    by_right = User.objects.with_perm(PERMISSION_OF_SCOPE[_DECIDES], include_superusers=False, backend=_BACKEND)
    roles = [name for name, scopes in ROLES.items() if _DECIDES in scopes]
    active = Membership.objects.filter(tenant__in=tenants, user__is_active=True, user__is_staff=True)
    members = list(
        active.filter(Q(role__in=roles) | Q(role="", user__in=by_right) | Q(user__is_superuser=True))
        .values_list("tenant_id", "user_id", "role")
    )  # fmt: skip
    superusers = User.objects.filter(is_superuser=True, is_active=True, is_staff=True).values_list("pk", flat=True)
    found: People = {tenant: dict.fromkeys(superusers, frozenset()) for tenant in tenants}
    for tenant, user, role in members:
        found[tenant][user] = frozenset({role} - {""})
    everybody = {user for own in found.values() for user in own}
    for user, group in User.groups.through.objects.filter(user__in=everybody).values_list("user_id", "group__name"):
        for own in found.values():
            if user in own:
                own[user] |= {group}
    return found
