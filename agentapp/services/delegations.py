"""Who decides in whose place while they are away. The move that decides looks the delegation up again. [G2]"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet

from agentapp import clock
from agentapp.errors import InvalidInput, NotFound, PermissionDenied
from agentapp.lifecycle import database
from agentapp.models import Delegation, Membership, Tenant
from agentapp.policies import storable
from agentapp.policies.permissions import PEOPLE
from agentapp.services import electors, people, principals
from agentapp.services.principals import Principal

DECIDES = "approvals:decide"
LONGEST = timedelta(days=90)
NO_PERSON = "An API key is no person: people delegate in the admin."
NOT_YOURS = "Only an administrator of the tenant delegates for somebody else."
NOT_TO_YOURSELF = "Nobody takes the place of somebody else by themselves. Ask another administrator."
NOT_OF_SUPERUSERS = "Who runs the service delegates for themselves."


def listing(principal: Principal) -> QuerySet[Delegation]:
    """The delegations of the tenants in which the principal decides, that hold."""
    principal.require(DECIDES)
    rows = Delegation.objects.select_related("tenant", "user", "delegate").filter(until__gt=database.moment())
    return principal.visible(rows.order_by("tenant__slug", "user__username"), scope=DECIDES)


def deciding_people(tenant_ids: Iterable[int]) -> list[str]:
    """The names of the active people who may decide in one of these tenants: their members, and superusers."""
    able = {person for people in electors.of(set(tenant_ids)).values() for person in people}
    return list(User.objects.filter(pk__in=able).order_by("username").values_list("username", flat=True))


def person(name: str, tenant_id: int, *, at: str) -> User:
    """A person who may decide in a tenant. Raises InvalidInput, of the field `at`."""
    known = User.objects.filter(username=name).first() if storable.is_storable(name) else None
    if known is None or not _decides(known, tenant_id):
        raise InvalidInput.at(at, "Name an active person who may decide in this tenant.")
    return known


def give(
    by: Principal, *, tenant: Tenant, delegate: str, until: datetime, user: str = ""
) -> Delegation:  # fmt: skip
    """Let another person decide in the place of one: of `by`, or for administrators of `user`. It replaces an earlier
    one of the same person in the tenant.

    Raises:
        InvalidInput: one of both may not decide there, they are the same, or the moment is over or too far away.
        PermissionDenied: it is for somebody else, and `by` does not manage the people of the tenant, would decide in
            their place, or would lend what a superuser holds.
    """
    by.require(DECIDES, tenant.pk)
    own = _own_name(by)
    user = user or own
    if user != own:
        _require_manages(by, tenant.pk)
    away, instead = person(user, tenant.pk, at="user"), person(delegate, tenant.pk, at="delegate")
    if user != own and by.tenant_ids is not None:
        _check_of_another(away, instead, own)
    if away == instead:
        raise InvalidInput.at("delegate", "Name somebody else.")
    if not clock.now() < until <= clock.now() + LONGEST:
        raise InvalidInput.at("until", f"Name a moment within {LONGEST.days} days.")
    with transaction.atomic():
        values = {"delegate": instead, "until": until, "created_at": database.now()}
        given, _ = Delegation.objects.update_or_create(tenant=tenant, user=away, defaults=values)
        people.note(given, "delegated", by, after={"delegate": instead.get_username(), "until": until.isoformat()})
    return given


@transaction.atomic
def end(by: Principal, delegation_id: int) -> Delegation:
    """End a delegation: one's own, or for administrators anybody's. Raises NotFound, PermissionDenied."""
    found = listing(by).select_for_update(of=("self",)).filter(pk=delegation_id).first()
    if found is None:
        raise NotFound("There is no such delegation any more.")
    if by.user is None or found.user_id != by.user.pk:
        _require_manages(by, found.tenant_id)
    people.note(found, "delegation ended", by, before={"delegate": found.delegate.get_username()})
    Delegation.objects.filter(pk=found.pk).delete()
    return found


def lent_groups(user: User, tenant_ids: Iterable[int]) -> dict[int, dict[int, frozenset[str]]]:
    """The groups and roles by which a person may decide in the place of others, by tenant and by who these are."""
    held = Delegation.objects.filter(
        delegate=user, tenant__in=set(tenant_ids), until__gt=database.moment(), user__is_active=True
    )
    found: dict[int, dict[int, frozenset[str]]] = {}
    for given in held.select_related("user").prefetch_related("user__groups", "user__memberships"):
        role = _role(given.user, given.tenant_id)
        if given.user.is_superuser or role not in (None, "viewer"):
            groups = {group.name for group in given.user.groups.all()} | ({role} if role else set())
            found.setdefault(given.tenant_id, {})[given.user_id] = frozenset(groups)
    return found


def _role(user: User, tenant_id: int) -> str | None:
    held: Iterable[Membership] = user.memberships.all()
    return next((each.role for each in held if each.tenant_id == tenant_id), None)


def _decides(user: User, tenant_id: int) -> bool:
    return DECIDES in principals.of_user(user).scopes_in(tenant_id)


def _own_name(by: Principal) -> str:
    if by.user is None:
        raise PermissionDenied(NO_PERSON)
    return by.user.get_username()


def _require_manages(by: Principal, tenant_id: int) -> None:
    if PEOPLE not in by.scopes_in(tenant_id):
        raise PermissionDenied(NOT_YOURS)


def _check_of_another(away: User, instead: User, own: str) -> None:
    """See that administrators gain no groups by what they give: policies ask for people whom they do not choose."""
    if instead.get_username() == own:
        raise PermissionDenied(NOT_TO_YOURSELF)
    if away.is_superuser:
        raise PermissionDenied(NOT_OF_SUPERUSERS)
