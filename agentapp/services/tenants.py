"""Workspaces: nothing of one is visible to another."""

from __future__ import annotations

import re

from django.db import IntegrityError, transaction

from agentapp.errors import InvalidInput, NotFound
from agentapp.models import Tenant

_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,49}")


def create(*, slug: str, name: str) -> Tenant:
    """Make a tenant.

    Raises:
        InvalidInput: the slug is taken, or is not made of lower-case letters, digits and hyphens.
    """
    if not _SLUG.fullmatch(slug):
        raise InvalidInput(f"{slug!r} cannot be a tenant's slug: use 1 to 50 of a-z, 0-9 and hyphens, as in acme-help.")
    if not name.strip():
        raise InvalidInput("Give the tenant a name.")
    try:
        with transaction.atomic():
            return Tenant.objects.create(slug=slug, name=name.strip())
    except IntegrityError as error:
        raise InvalidInput(f"The tenant {slug} exists already. Choose another slug.") from error


def get(slug: str) -> Tenant:
    """Raises NotFound when there is no such tenant; the sentence names those that there are."""
    tenant = Tenant.objects.filter(slug=slug).first()
    if tenant is None:
        known = ", ".join(Tenant.objects.order_by("slug").values_list("slug", flat=True)[:10])
        raise NotFound(f"There is no tenant {slug}. {f'Known are {known}.' if known else 'Make one: create_tenant.'}")
    return tenant
