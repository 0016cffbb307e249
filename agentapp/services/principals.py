"""Who acts: an API key, or a person in the admin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from django.db.models import Model, QuerySet

from agentapp.errors import InvalidInput, NotFound, PermissionDenied
from agentapp.models import ApiKey
from agentapp.policies.permissions import API_SCOPES, OPERATOR_SCOPES, scopes_of_person

if TYPE_CHECKING:
    from django.contrib.auth.models import User

M = TypeVar("M", bound=Model)

# What the name of an actor begins with in a history; workers and duties have names without.
KEY, USER = "key:", "user:"


@dataclass(frozen=True)
class Principal:
    """`tenant_ids` is what it may see, None meaning all; `tenant_id` is where it submits, when there is only one."""

    scopes: frozenset[str]
    tenant_ids: frozenset[int] | None
    api_key: ApiKey | None = None
    user: User | None = None

    @property
    def actor(self) -> str:
        """The name in histories: key:<prefix> or user:<name>."""
        if self.api_key:
            return f"{KEY}{self.api_key.prefix}"
        return f"{USER}{self.user.get_username()}" if self.user else "system"

    @property
    def named(self) -> str:
        """The name in messages to people: the key's own, with its prefix."""
        return f"the key {self.api_key}" if self.api_key else without_prefix(self.actor)

    @property
    def tenant_id(self) -> int | None:
        if self.tenant_ids is None or len(self.tenant_ids) != 1:
            return None
        return next(iter(self.tenant_ids))

    def chosen_tenant(self, wanted: int | None) -> int:
        """Return the tenant that is asked for, or else its only one.

        Raises:
            NotFound: it is another's.
            InvalidInput: it has several, and none is named.
        """
        chosen = self.tenant_id if wanted is None else wanted
        if chosen is None:
            raise InvalidInput("Say for which tenant: you work for several.")
        if self.tenant_ids is not None and chosen not in self.tenant_ids:
            raise NotFound("There is no such tenant.")
        return chosen

    def require(self, scope: str) -> None:
        """Raises PermissionDenied when the scope is not held."""
        if scope not in self.scopes:
            raise PermissionDenied(f"This needs the scope {scope}, which {self.named} does not hold.")

    def visible(self, rows: QuerySet[M]) -> QuerySet[M]:
        """Leave only the rows of this principal's tenants; the model has a `tenant`."""
        return rows if self.tenant_ids is None else rows.filter(tenant_id__in=self.tenant_ids)


def without_prefix(actor: str) -> str:
    """Return a person's name as people know it, and any other actor as it is."""
    return actor.removeprefix(USER)


def of_key(key: ApiKey) -> Principal:
    return Principal(frozenset(key.scopes), frozenset({key.tenant_id}), api_key=key)


def of_user(user: User) -> Principal:
    """A superuser sees every tenant and may do everything; staff see the tenants that they are members of."""
    if not user.is_active or not user.is_staff:
        return Principal(frozenset(), frozenset(), user=user)
    if user.is_superuser:
        return Principal(frozenset(API_SCOPES + OPERATOR_SCOPES), None, user=user)
    tenants = frozenset(user.memberships.values_list("tenant_id", flat=True))
    return Principal(scopes_of_person(user.has_perm), tenants, user=user)


def owner(principal: Principal) -> dict[str, int | None]:
    """The two columns that name a principal. A secret that ends soon acts for the key that goes on."""
    key = principal.api_key
    return {
        "api_key_id": (key.replaced_by_id or key.pk) if key else None,
        "user_id": principal.user.pk if principal.user else None,
    }
