"""People who sign in to the admin: a membership says in whose work, and its role what they may do there. [G6]"""

from __future__ import annotations

import secrets
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission, User
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.db.models import QuerySet

from agentapp.errors import IllegalMove, InvalidInput, NotFound, PermissionDenied
from agentapp.lifecycle import audit, tenant_context
from agentapp.models import Delegation, GateChange, Membership, Tenant
from agentapp.policies import storable
from agentapp.policies.permissions import PEOPLE, PERMISSION_OF_SCOPE, ROLES, SEES_PAYLOADS, scopes_of_member
from agentapp.services import principals, unchanged
from agentapp.services.principals import COMMAND_LINE, Principal

# The name of a role in the release before.
OLD_NAMES = {"approver": "agent"}
# By which of its groups the release before knows a role; it has no administrators.
_GROUPS = {"viewer": "", "agent": "approver", "operator": "operator", "administrator": "operator"}
_LEAST_FIRST = tuple(ROLES)


def managed(principal: Principal) -> QuerySet[Membership]:
    """The memberships that the principal may change: those in the tenants whose people they manage."""
    principal.require(PEOPLE)
    rows = Membership.objects.select_related("user", "tenant").order_by("tenant__slug", "user__username")
    return principal.visible(rows, scope=PEOPLE)


@transaction.atomic
def add(
    *, name: str, tenant: Tenant, role: str, email: str = "", sees_payloads: bool | None = None,
    by: Principal | None = None,
) -> tuple[Membership, str]:  # fmt: skip
    """Let a person into a tenant with a role; return the membership and, for a new person, a password ("" otherwise).

    `by` None: who runs the installation, on the command line, may also give a member another role by this.

    Raises:
        InvalidInput: the name or the address is not possible, there is no such role, or they are a member.
        PermissionDenied: `by` does not manage the people of the tenant, or would give more than they hold.
    """
    role = _checked(role)
    sees = SEES_PAYLOADS[role] if sees_payloads is None else sees_payloads
    if by is not None:
        _check_gives(by, tenant.pk, role, sees_payloads=sees)
    person, password = _known_or_new(name, email)
    if by is not None and Membership.objects.filter(user=person, tenant=tenant).exists():
        raise InvalidInput.at("name", f"{name} is a member of {tenant} already. Change the role on their page.")
    values = {"role": role, "sees_payloads": sees}
    membership, is_new = Membership.objects.update_or_create(user=person, tenant=tenant, defaults=values)
    note(membership, "created" if is_new else "changed", by, after=_said(membership))
    show_to_release_before(person)
    return membership, password


@transaction.atomic
def change(by: Principal, membership_id: int, *, role: str, sees_payloads: bool, as_read: str = "") -> Membership:
    """Give a member another role; with `as_read`, only one that is still `shown` so. Raises as `add` does, NotFound,
    and IllegalMove where somebody has changed it since."""
    membership = _locked(by, membership_id)
    unchanged.check_shown(shown(membership), as_read=as_read)
    before = _said(membership)
    membership.role, membership.sees_payloads = _checked(role), sees_payloads
    if _said(membership) == before:
        return membership
    _check_gives(by, membership.tenant_id, role, sees_payloads=sees_payloads)
    membership.save(update_fields=["role", "sees_payloads"])
    note(membership, "changed", by, before=before, after=_said(membership))
    show_to_release_before(membership.user)
    return membership


@transaction.atomic
def remove(by: Principal, membership_id: int) -> Membership:
    """Let a person see this tenant no longer. Their tasks there stop at the next check. Raises as `change`."""
    membership = _locked(by, membership_id)
    note(membership, "deleted", by, before=_said(membership))
    Membership.objects.filter(pk=membership.pk).delete()
    show_to_release_before(membership.user)
    return membership


@transaction.atomic
def set_active(by: Principal, membership_id: int, *, is_active: bool) -> Membership:
    """Let a person sign in, or no longer. Raises as `change`, and PermissionDenied where others answer for them too."""
    membership = whole(by, membership_id)
    if membership.user.is_active != is_active:
        get_user_model().objects.filter(pk=membership.user_id).update(is_active=is_active)
        membership.user.is_active = is_active
        note(membership, "activated" if is_active else "deactivated", by)
    return membership


@transaction.atomic
def set_mails(by: Principal, membership_id: int, *, gets_mails: bool) -> Membership:
    """Let a member be told by mail of approvals that wait, or no longer. Raises as `change`."""
    membership = _locked(by, membership_id)
    if membership.gets_mails != gets_mails:
        membership.gets_mails = gets_mails
        membership.save(update_fields=["gets_mails"])
        note(membership, "gets mails" if gets_mails else "gets no mails", by)
    return membership


@transaction.atomic
def new_password(by: Principal, membership_id: int) -> tuple[Membership, str]:
    """Give a person another password, which is shown once and ends their sessions. Raises as `set_active`."""
    membership = whole(by, membership_id)
    password = secrets.token_urlsafe(12)
    membership.user.set_password(password)
    membership.user.save(update_fields=["password"])
    note(membership, "new password", by)
    return membership, password


def note_of_all(person: User, action: str) -> None:
    """Keep what a person has done to their own account, in each tenant that they belong to."""
    for membership in person.memberships.select_related("user", "tenant"):
        note(membership, action, principals.of_user(person))


def changes(membership: Membership) -> QuerySet[GateChange]:
    """Who changed what of a member, newest first."""
    return GateChange.objects.filter(target=_target(membership))


def _checked(role: str) -> str:
    role = OLD_NAMES.get(role, role)
    if role not in ROLES:
        raise InvalidInput.at("role", f"There is no role {role!r}. Choose one of {', '.join(ROLES)}.")
    return role


def _check_gives(by: Principal, tenant_id: int, role: str, *, sees_payloads: bool) -> None:
    """See that nobody gives more than they hold. Raises PermissionDenied."""
    by.require(PEOPLE, tenant_id)
    given = scopes_of_member(lambda permission: False, role, sees_payloads=sees_payloads)
    if more := sorted(given - by.scopes_in(tenant_id)):
        raise PermissionDenied(f"You cannot give what you do not hold yourself: {', '.join(more)}.")


def _locked(by: Principal, membership_id: int) -> Membership:
    """The membership, if the principal may change it. Raises NotFound, PermissionDenied, IllegalMove."""
    membership = managed(by).select_for_update(of=("self",)).filter(pk=membership_id).first()
    if membership is None:
        raise NotFound("There is no such member whom you may change.")
    if by.user is not None and membership.user_id == by.user.pk:
        raise IllegalMove("Nobody changes their own membership. Ask another administrator.")
    held = principals.of_membership(membership.user, membership)
    is_more = membership.user.is_superuser or not held <= by.scopes_in(membership.tenant_id)
    if is_more and by.tenant_ids is not None:
        raise PermissionDenied(f"{membership.user} may do more than you. Ask who runs the service.")
    return membership


def whole(by: Principal, membership_id: int) -> Membership:
    """The membership of a person for all of whose account the principal answers, locked. Raises as `set_active`."""
    membership = _locked(by, membership_id)
    _check_whole(by, membership.user)
    return membership


def _check_whole(by: Principal, person: User) -> None:
    """See that all that a person may do lies in tenants whose people `by` manages. Raises PermissionDenied."""
    if by.tenant_ids is None:
        return
    with tenant_context.platform_rows():
        elsewhere = person.memberships.exclude(pk__in=managed(by).values("pk")).exists()
    if elsewhere or not person.get_all_permissions() <= {*PERMISSION_OF_SCOPE.values()}:
        raise PermissionDenied(f"{person} may do more than you manage. Remove them from the tenant instead.")
    for membership in person.memberships.all():
        if not principals.of_membership(person, membership) <= by.scopes_in(membership.tenant_id):
            raise PermissionDenied(f"{person} may do more than you. Ask who runs the service.")


def shown(membership: Membership) -> str:
    """What a form shows of a membership, in one text."""
    return f"{membership.role} {membership.sees_payloads}"


def _said(membership: Membership) -> dict[str, Any]:
    return {"role": membership.role, "sees_payloads": membership.sees_payloads}


def _target(about: Membership | Delegation) -> str:
    return f"person {about.user_id} in {about.tenant.slug}"


def note(
    about: Membership | Delegation, action: str, by: Principal | None, *, before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:  # fmt: skip
    """Keep who has changed what of a person in a tenant."""
    actor = by.actor if by else COMMAND_LINE
    reason = f"{about.user} in {about.tenant}"[:300]
    audit.note(_target(about), action, actor=actor, reason=reason, before=before, after=after)


def _known_or_new(name: str, email: str) -> tuple[User, str]:
    users = get_user_model()
    if not storable.is_storable(name):
        raise InvalidInput.at("name", f"{name!r} cannot be a user's name.")
    known = users.objects.select_for_update().filter(username=name).first()
    if known is not None:
        if not known.is_staff:
            users.objects.filter(pk=known.pk).update(is_staff=True)
        return known, ""
    password = secrets.token_urlsafe(12)
    person = users(username=name, email=email, is_staff=True)
    try:
        person.clean_fields(exclude=["password", "email"])
    except ValidationError as error:
        raise InvalidInput.at("name", f"{name!r} cannot be a user's name: {' '.join(error.messages)}") from error
    if email:
        _check_email(email)
    person.set_password(password)
    person.save()
    return person, password


def _check_email(email: str) -> None:
    try:
        validate_email(email)
    except ValidationError as error:
        raise InvalidInput.at("email", "This is no address of a mail.") from error
    if len(email) > 254:
        raise InvalidInput.at("email", "This is longer than an address may be.")


def show_to_release_before(person: User) -> None:
    """Put a person into the group by which the release before knows what they may do. There a group holds in every
    tenant, so it is that of the least of the roles. The next release drops this."""
    with tenant_context.platform_rows():
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
