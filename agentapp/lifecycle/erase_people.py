"""The people of a tenant that is erased: an account whose only tenant it was goes, with all that belongs to it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db.models import PROTECT, ForeignObjectRel, QuerySet
from django.db.models.functions import Lower
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice

from agentapp.lifecycle import database, erase, sessions
from agentapp.models import Erasure, Membership, SavedView, Tenant

SUPERUSER = "is a superuser's"
ELSEWHERE = "belongs to another tenant"
RIGHTS = "has permissions of its own, which no tenant gave"
NAMED = "is named by tasks or decisions of other tenants. It belongs to no tenant now"

# Groups that a role gives, by which the release before knows it.
_GROUPS_OF_ROLES = ("approver", "operator")


@dataclass(frozen=True)
class Stays:
    """An account that is kept, and why."""

    name: str
    why: str


def forget(tenant: Tenant, record: Erasure) -> list[Stays]:
    """Delete the memberships of a tenant, and the accounts that were there for it alone; return those that stay.

    Called when nothing else of the tenant is left: its tasks name their people.

    Raises:
        IllegalMove: a hold was placed meanwhile.
    """
    with database.atomic():
        erase.refuse_held(tenant)
        people = list(
            User.objects.select_for_update(of=("self",)).filter(memberships__tenant=tenant).order_by("username")
        )
        staying = list(_staying(people, tenant))
        kept = {each.name for each in staying}
        leaving = [person for person in people if person.username not in kept]
        _delete(record, Membership.objects.filter(tenant=tenant))
        for rows in _of_accounts(leaving):
            _delete(record, rows)
        _delete(record, User.objects.filter(pk__in=[person.pk for person in leaving]))
    return staying


def _staying(people: Collection[User], tenant: Tenant) -> Iterator[Stays]:
    others = Membership.objects.filter(user__in=people).exclude(tenant=tenant).values_list("user_id", flat=True)
    elsewhere, named = set(others), _named(people)
    for person in people:
        if person.is_superuser:
            yield Stays(person.username, SUPERUSER)
        elif person.pk in elsewhere:
            yield Stays(person.username, ELSEWHERE)
        elif person.user_permissions.exists() or person.groups.exclude(name__in=_GROUPS_OF_ROLES).exists():
            yield Stays(person.username, RIGHTS)
        elif person.pk in named:
            yield Stays(person.username, NAMED)


def _named(people: Collection[User]) -> set[Any]:
    """Those whom rows of other tenants name that may not lose them."""
    found: set[Any] = set()
    # Those without a name on the account are hidden.
    for relation in User._meta.get_fields(include_hidden=True):
        if isinstance(relation, ForeignObjectRel) and relation.on_delete is PROTECT:
            column = relation.field.attname
            rows = relation.related_model._default_manager.filter(**{f"{relation.field.name}__in": people})
            found.update(rows.order_by().values_list(column, flat=True).distinct())
    return found


def _of_accounts(people: Collection[User]) -> Iterator[QuerySet[Any]]:
    yield SavedView.objects.filter(user__in=people)
    yield TOTPDevice.objects.filter(user__in=people)
    yield StaticDevice.objects.filter(user__in=people)
    yield Session.objects.filter(pk__in=list(sessions.keys(people)))
    # As they were typed: a name in other letters is that name too.
    names = {person.username.lower() for person in people}
    for attempts in (AccessAttempt, AccessFailureLog, AccessLog):
        yield attempts.objects.alias(typed=Lower("username")).filter(typed__in=names)


def _delete(record: Erasure, rows: QuerySet[Any]) -> None:
    """Delete rows, and count all that goes with them."""
    with database.atomic():
        for label, gone in erase.delete(rows.model, list(rows.values_list("pk", flat=True))).items():
            erase.count(record, label.rpartition(".")[2], gone)
