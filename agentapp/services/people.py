"""People who sign in to the admin: a role says what they may do, a membership in whose work."""

from __future__ import annotations

import secrets

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission, User
from django.core.exceptions import ValidationError
from django.db import transaction

from agentapp.errors import InvalidInput
from agentapp.models import Membership, Tenant
from agentapp.policies.permissions import PERMISSION_OF_SCOPE

# Every member may read; these are the scopes that a role adds.
ROLES: dict[str, tuple[str, ...]] = {
    "viewer": (),
    "approver": ("approvals:decide",),
    "operator": (
        "approvals:decide",
        "dead_letters:write",
        "documents:write",
        "memories:write",
        "schedules:write",
        "tasks:write",
        "tools:write",
        "webhooks:write",
    ),
}


@transaction.atomic
def add(*, name: str, tenant: Tenant, role: str) -> tuple[User, str]:
    """Let a person into a tenant with a role; return the person and, for a new one, a password ("" otherwise).

    A role is a group of Django's. It holds in every tenant that the person is a member of; several add up.

    Raises:
        InvalidInput: the name is not possible, or there is no such role.
    """
    if role not in ROLES:
        raise InvalidInput(f"There is no role {role}. Choose one of {', '.join(ROLES)}.")
    person, password = _known_or_new(name)
    Membership.objects.get_or_create(user=person, tenant=tenant)
    person.groups.add(_group(role))
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


def _group(role: str) -> Group:
    """Make the role's group at its first use; afterwards its permissions are for superusers to change."""
    group, is_new = Group.objects.get_or_create(name=role)
    if is_new:
        codenames = [PERMISSION_OF_SCOPE[scope].partition(".")[2] for scope in ROLES[role]]
        group.permissions.set(Permission.objects.filter(content_type__app_label="agentapp", codename__in=codenames))
    return group
