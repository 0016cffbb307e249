"""What bulk replays and bulk cancellations have in common for those who look at them and stop them."""

from __future__ import annotations

from typing import TypeVar
from uuid import UUID

from django.db.models import QuerySet

from agentapp.errors import NotFound
from agentapp.lifecycle import bulk_work
from agentapp.models import BulkOperation
from agentapp.services.principals import Principal

Row = TypeVar("Row", bound=BulkOperation)

# The row holds their ids, and is written again with every batch.
MOST = 20_000
ABORTED = "aborted"


def listing(principal: Principal, kind: type[Row]) -> QuerySet[Row]:
    """Those that the principal may see, newest first."""
    principal.require("tasks:read")
    return principal.visible(kind._default_manager.order_by("-id"))


def get(principal: Principal, kind: type[Row], row_id: UUID) -> Row:
    """Raises NotFound."""
    row = listing(principal, kind).filter(pk=row_id).first()
    if row is None:
        raise NotFound(f"This tenant has no {kind._meta.verbose_name} {row_id}.")
    return row


def abort(principal: Principal, kind: type[Row], row_id: UUID, *, needs: str, reason: str) -> Row:
    """Do no more of it; what is under way goes on.

    Raises:
        IllegalMove: it has ended already.
        PermissionDenied: the scope `needs` is missing in its tenant.
    """
    row = get(principal, kind, row_id)
    principal.require(needs, row.tenant_id)
    said = f"by {principal.named}" + (f": {reason.strip()}" if reason.strip() else "")
    return bulk_work.end(kind, row.pk, ABORTED, reason=said)


def chosen_tenant(principal: Principal, tenant_id: int | None, *, needs: str) -> int | None:
    """The tenant whose rows are meant; None, for a superuser who names none: of all. Raises like Principal's own."""
    if tenant_id is None and principal.tenant_ids is None:
        return None
    return principal.chosen_tenant(tenant_id, needs=needs)
