"""People who sign in to the admin: a membership says in whose work, and its role what they may do there. [G6]"""

from __future__ import annotations

import secrets

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission, User
from django.core.exceptions import ValidationError
from django.db import transaction

from agentapp.errors import InvalidInput
from agentapp.models import Membership, Tenant
from agentapp.policies.permissions import PERMISSION_OF_SCOPE, ROLES, SEES_PAYLOADS

# The name of a role in the release before.
OLD_NAMES = {"approver": "agent"}
# By which of its groups the release before knows a role; it has no administrators.
_GROUPS = {"viewer": "", "agent": "approver", "operator": "operator", "administrator": "operator"}
_LEAST_FIRST = tuple(ROLES)


@transaction.atomic
def add(*, name: str, tenant: Tenant, role: str) -> tuple[User, str]:
    """Let a person into a tenant with a role, or give them another one there; return the person and, for a new one, a
    password ("" otherwise).

    Raises:
        InvalidInput: the name is not possible, or there is no such role.
    """
    role = OLD_NAMES.get(role, role)
    if role not in ROLES:
        raise InvalidInput(f"There is no role {role}. Choose one of {', '.join(ROLES)}.")
    person, password = _known_or_new(name)
    said = {"role": role, "sees_payloads": SEES_PAYLOADS[role]}
    Membership.objects.update_or_create(user=person, tenant=tenant, defaults=said)
    show_to_release_before(person)
    return person, password


def _known_or_new(name: str) -> tuple[User, str]:
    users = get_user_model()
    known = users.objects.filter(username=name).first()
    if known is not None:
        if not known.is_staff:
            users.objects.filter(pk=known.pk).update(is_staff=True)
        return known, ""
    password = secrets.token_urlsafe(12)
    person = users(username=name, is_staff=True)
    try:
        person.clean_fields(exclude=["password"])
    except ValidationError as error:
        raise InvalidInput(f"{name!r} cannot be a user's name: {' '.join(error.messages)}") from error
    person.set_password(password)
    person.save()
    return person, password


def show_to_release_before(person: User) -> None:
    """Put a person into the group by which the release before knows what they may do. There a group holds in every
    tenant, so it is that of the least of the roles. The next release drops this."""
    roles = set(person.memberships.values_list("role", flat=True))
    if not roles <= ROLES.keys():
        # That release has written a membership: its groups say what holds there.
        return
    wanted = _GROUPS[min(roles, key=_LEAST_FIRST.index)] if roles else ""
    person.groups.remove(*Group.objects.filter(name__in={*_GROUPS.values()} - {wanted}))
    if wanted:
        person.groups.add(_group(wanted))


def _group(name: str) -> Group:
    group, is_new = Group.objects.get_or_create(name=name)
    if is_new:
        role = OLD_NAMES.get(name, name)
        codenames = [PERMISSION_OF_SCOPE[scope].partition(".")[2] for scope in ROLES[role] & PERMISSION_OF_SCOPE.keys()]
        group.permissions.set(Permission.objects.filter(content_type__app_label="agentapp", codename__in=codenames))
    return group
