"""Tenants: nothing of one is visible to another."""

from __future__ import annotations

import re

from django.db import IntegrityError, transaction

from agentapp.errors import InvalidInput, NotFound
from agentapp.lifecycle import gates as moves
from agentapp.lifecycle import tenant_context
from agentapp.models import Tenant
from agentapp.services import gates, unchanged, validation
from agentapp.services.principals import Principal

_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,49}")
# As long as a gate can name one.
_TIER = re.compile(r"[A-Za-z0-9_-]{1,30}")
TIER, WEIGHT = "standard", 1.0
LONGEST_NAME = 200
# A share of nothing would be a share that nobody can divide by.
LEAST_WEIGHT, MOST_WEIGHT = 0.01, 1_000


def create(*, slug: str, name: str, tier: str = TIER, weight: float = WEIGHT) -> Tenant:
    """Make a tenant.

    Raises:
        InvalidInput: the slug is taken, or is not made of lower-case letters, digits and hyphens; or its tier or
            weight is not possible.
    """
    if not _SLUG.fullmatch(slug):
        raise InvalidInput(f"{slug!r} cannot be a tenant's slug: use 1 to 50 of a-z, 0-9 and hyphens, as in acme-help.")
    if not 0 < len(name.strip()) <= LONGEST_NAME:
        raise InvalidInput(f"Give the tenant a name of 1 to {LONGEST_NAME} characters.")
    _check(tier, weight)
    try:
        # It is of nobody yet.
        with transaction.atomic(), tenant_context.platform_rows():
            return Tenant.objects.create(slug=slug, name=name.strip(), tier=tier, weight=weight)
    except IntegrityError as error:
        raise InvalidInput(f"The tenant {slug} exists already. Choose another slug.") from error


def shown(tenant: Tenant) -> str:
    """What can be changed of a tenant, in one text."""
    return f"{tenant.tier} {tenant.weight}"


def change(
    principal: Principal, tenant: Tenant, *, tier: str, weight: float, reason: str = "", as_read: str = ""
) -> Tenant:
    """Give a tenant another tier or weight; the gates of its tier hold from the next claim on. [E1] [E5] `as_read`:
    only one that is still `shown` so.

    Raises:
        IllegalMove: somebody has changed it since.
        InvalidInput: the tier or the weight is not possible; nothing is stored.
        PermissionDenied: the scope gates:write is missing.
    """
    principal.require(gates.WRITE)
    _check(tier, weight)
    reason = validation.checked_reason(reason)
    with transaction.atomic():
        locked = Tenant.objects.select_for_update(no_key=True).get(pk=tenant.pk)
        unchanged.check_shown(shown(locked), as_read=as_read)
        moves.change_tenant(tenant.pk, tier=tier, weight=weight, actor=principal.actor, reason=reason)
    tenant.refresh_from_db(fields=["tier", "weight"])
    return tenant


def _check(tier: str, weight: float) -> None:
    problems = []
    if not _TIER.fullmatch(tier):
        problems.append(("tier", "Use 1 to 30 letters, digits, hyphens and underscores."))
    # Not the other way round: what is no number lies between no two.
    if not LEAST_WEIGHT <= weight <= MOST_WEIGHT:
        problems.append(("weight", f"This must be between {LEAST_WEIGHT} and {MOST_WEIGHT:,}."))
    validation.raise_problems(problems)


def get(slug: str) -> Tenant:
    """Raises NotFound when there is no such tenant; the sentence names those that there are."""
    tenant = Tenant.objects.filter(slug=slug).first()
    if tenant is None:
        known = ", ".join(Tenant.objects.order_by("slug").values_list("slug", flat=True)[:10])
        others = f"Known are {known}. " if known else ""
        raise NotFound(f"There is no tenant {slug}. {others}Make it with `manage.py create_tenant {slug}`.")
    return tenant
