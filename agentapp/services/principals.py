"""Who acts: an API key, or a person in the admin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from django.db.models import Model, QuerySet

from agentapp.errors import InvalidInput, NotFound, PermissionDenied
from agentapp.models import ApiKey, Membership
from agentapp.policies.permissions import API_SCOPES, OPERATOR_SCOPES, PAYLOADS, PERSON_SCOPES, ROLES, scopes_of_member

if TYPE_CHECKING:
    from django.contrib.auth.models import User

M = TypeVar("M", bound=Model)
# The pages of a person without a tenant are empty, and say why.
_WITHOUT_TENANT = ROLES["viewer"]

# What the name of an actor begins with in a history; workers and duties have names without.
KEY, USER = "key:", "user:"
# Who acts by a command of manage.py that asks for no name.
COMMAND_LINE = "command line"


@dataclass(frozen=True)
class Principal:
    """`tenant_ids` is what it may see, None meaning all; `tenant_id` is where it submits, when there is only one.

    `scopes` are those that it holds in some tenant. What it may do to a record says the tenant of the record: ask
    `require` or `scopes_in` with that.
    """

    scopes: frozenset[str]
    tenant_ids: frozenset[int] | None
    api_key: ApiKey | None = None
    user: User | None = None
    # What it holds in each of its tenants; None: `scopes` in all of them.
    by_tenant: Mapping[int, frozenset[str]] | None = field(default=None, hash=False)

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

    def chosen_tenant(self, wanted: int | None, *, needs: str) -> int:
        """Return the tenant that is asked for, or else its only one, to do there what the scope `needs` allows.

        Raises:
            NotFound: it is another's.
            PermissionDenied: the scope is not held there.
            InvalidInput: it has several, and none is named.
        """
        chosen = self.tenant_id if wanted is None else wanted
        if chosen is None:
            raise InvalidInput("Say for which tenant: you work for several.")
        if self.tenant_ids is not None and chosen not in self.tenant_ids:
            raise NotFound("There is no such tenant.")
        self.require(needs, chosen)
        return chosen

    def scopes_in(self, tenant_id: int) -> frozenset[str]:
        """Return what it may do in one tenant."""
        if self.by_tenant is not None:
            return self.by_tenant.get(tenant_id, frozenset())
        return self.scopes if self.tenant_ids is None or tenant_id in self.tenant_ids else frozenset()

    def as_in(self, tenant_id: int) -> Principal:
        """Return it with the scopes of one tenant, for a page about a record of that."""
        return replace(self, scopes=self.scopes_in(tenant_id)) if self.by_tenant is not None else self

    def require(self, scope: str, tenant_id: int | None = None) -> None:
        """Raises PermissionDenied when the scope is not held, in this tenant or, without one, in any."""
        if scope not in (self.scopes if tenant_id is None else self.scopes_in(tenant_id)):
            where = "" if scope not in self.scopes else " in this tenant"
            raise PermissionDenied(f"This needs the scope {scope}, which {self.named} does not hold{where}.")

    def tenants_with(self, scope: str) -> frozenset[int] | None:
        """Its tenants in which it holds a scope; None: all that there are, for one that sees all."""
        if self.tenant_ids is None:
            return None
        return frozenset(each for each in self.tenant_ids if scope in self.scopes_in(each))

    def visible(self, rows: QuerySet[M], *, scope: str = "") -> QuerySet[M]:
        """Leave only the rows of this principal's tenants, or of those in which it holds a scope; the model has a
        `tenant`."""
        tenant_ids = self.tenants_with(scope) if scope else self.tenant_ids
        return rows if tenant_ids is None else rows.filter(tenant_id__in=tenant_ids)


def without_prefix(actor: str) -> str:
    """Return a person's name as people know it, and any other actor as it is."""
    return actor.removeprefix(USER)


def of_key(key: ApiKey) -> Principal:
    held = frozenset((*key.scopes, PAYLOADS)) if key.sees_payloads else frozenset(key.scopes)
    return Principal(held, frozenset({key.tenant_id}), api_key=key)


def of_user(user: User) -> Principal:
    """A superuser sees every tenant and may do everything; staff see the tenants that they are members of."""
    if not user.is_active or not user.is_staff:
        return Principal(frozenset(), frozenset(), user=user)
    if user.is_superuser:
        return Principal(frozenset((*API_SCOPES, *OPERATOR_SCOPES, *PERSON_SCOPES)), None, user=user)
    by_tenant = {membership.tenant_id: of_membership(user, membership) for membership in user.memberships.all()}
    held = frozenset[str]().union(*by_tenant.values()) if by_tenant else _WITHOUT_TENANT
    is_equal = all(scopes == held for scopes in by_tenant.values())
    return Principal(held, frozenset(by_tenant), user=user, by_tenant=None if is_equal else by_tenant)


def of_membership(user: User, membership: Membership) -> frozenset[str]:
    """Return what a person may do in the tenant of a membership."""
    return scopes_of_member(user.has_perm, membership.role, sees_payloads=membership.sees_payloads)


def owner(principal: Principal) -> dict[str, int | None]:
    """The two columns that name a principal. A secret that ends soon acts for the key that goes on."""
    key = principal.api_key
    return {
        "api_key_id": (key.replaced_by_id or key.pk) if key else None,
        "user_id": principal.user.pk if principal.user else None,
    }
