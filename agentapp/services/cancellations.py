"""Cancel many tasks: those that a filter describes now, the oldest first, as a record with its progress."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from agentapp.errors import InvalidInput
from agentapp.lifecycle import bulk_cancel
from agentapp.models import BulkCancellation, Workflow
from agentapp.services import bulk_operations, task_filters, workflows
from agentapp.services.principals import Principal
from agentapp.states import WORKFLOW_FINAL, WorkflowState

OPEN = tuple(state.value for state in WorkflowState if state not in WORKFLOW_FINAL)


def matching(principal: Principal, wanted: Mapping[str, Any], *, tenant_id: int | None = None) -> QuerySet[Workflow]:
    """Return the open tasks that a filter describes, the oldest first. `wanted` is what task_filters.matching takes.

    Raises:
        InvalidInput: it describes all tasks; who means that says so by naming all open states.
        PermissionDenied: the scope tasks:read or tasks:write is missing.
    """
    principal.require("tasks:write")
    if not any(wanted.values()):
        raise InvalidInput.at("filter", f"Say which: name at least one of {', '.join(wanted)}.")
    rows = workflows.listing(principal).filter(finished_at=None, state__in=OPEN)
    if tenant_id is not None:
        rows = rows.filter(tenant_id=tenant_id)
    return task_filters.matching(principal, rows, **wanted).order_by("id")


def start(
    principal: Principal, wanted: Mapping[str, Any], *, reason: str = "", tenant_id: int | None = None
) -> BulkCancellation:
    """Begin to cancel the open tasks that a filter describes at this moment; the dispatcher goes on with it.

    At most 20,000 are taken, the oldest; how many there were beyond stands in the row's selection as `left_out`.

    Raises:
        IllegalMove: the same filter is being worked off already.
        InvalidInput, PermissionDenied: as in `matching`.
    """
    principal.require("tasks:write")
    tenant_id = bulk_operations.chosen_tenant(principal, tenant_id, needs="tasks:write")
    rows = matching(principal, wanted, tenant_id=tenant_id)
    tasks = list(rows.values_list("pk", flat=True)[: bulk_operations.MOST])
    left_out = rows.count() - len(tasks) if len(tasks) == bulk_operations.MOST else 0
    return bulk_cancel.start(
        tenant_id=tenant_id, wanted={name: _json(value) for name, value in wanted.items() if value}, tasks=tasks,
        left_out=max(0, left_out), reason=reason, actor=principal.actor,
    )  # fmt: skip


def listing(principal: Principal) -> QuerySet[BulkCancellation]:
    """The bulk cancellations that the principal may see, newest first."""
    return bulk_operations.listing(principal, BulkCancellation)


def get(principal: Principal, bulk_id: UUID) -> BulkCancellation:
    """Raises NotFound."""
    return bulk_operations.get(principal, BulkCancellation, bulk_id)


def abort(principal: Principal, bulk_id: UUID, *, reason: str = "") -> BulkCancellation:
    """Cancel no more of them; those that are cancelled stay so.

    Raises:
        IllegalMove: it has ended already.
    """
    principal.require("tasks:write")
    return bulk_operations.abort(principal, BulkCancellation, bulk_id, needs="tasks:write", reason=reason)


def _json(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
