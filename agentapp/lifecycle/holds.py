"""Legal holds: placed and lifted, and what they keep. Every change leaves a GateChange."""

from __future__ import annotations

from uuid import UUID

from django.db.models import Exists, OuterRef, QuerySet

from agentapp.errors import IllegalMove
from agentapp.lifecycle import database
from agentapp.models import GateChange, LegalHold, Workflow


def place(tenant_id: int, *, task_id: UUID | None = None, reason: str, actor: str) -> LegalHold:
    """Keep all of a tenant, or one task, until the hold is lifted. A hold that is there already stays as it is."""
    with database.atomic():
        hold, is_new = LegalHold.objects.get_or_create(
            tenant_id=tenant_id,
            workflow=Workflow.objects.select_for_update(no_key=True).get(pk=task_id) if task_id else None,
            defaults={"reason": reason, "placed_by": actor, "placed_at": database.now()},
        )
        if is_new:
            _note(hold, "held", actor=actor, reason=reason)
    return hold


def lift(hold: LegalHold, *, reason: str, actor: str) -> None:
    """Let a hold go; what it kept is deleted by the rules that hold for all."""
    with database.atomic():
        _note(hold, "released", actor=actor, reason=reason)
        hold.delete()


def refuse_held(tenant_id: int, *, what: str, task_id: UUID | None = None) -> None:
    """Raises IllegalMove where a hold keeps all of the tenant, or this task of it."""
    holds = LegalHold.objects.filter(tenant_id=tenant_id)
    held = holds.filter(workflow=None).first() or (holds.filter(workflow_id=task_id).first() if task_id else None)
    if held is not None:
        raise refusal(held, what=what)


def refusal(hold: LegalHold, *, what: str) -> IllegalMove:
    kept = f"the task {hold.workflow_id}" if hold.workflow_id else "the tenant"
    return IllegalMove(
        f"{what} cannot be deleted: {hold.placed_by} has placed a legal hold on {kept} on {hold.placed_at:%Y-%m-%d} "
        f"({hold.reason}). Ask them whether it may be lifted: `manage.py legal_hold TENANT --lift`."
    )


def free(tasks: QuerySet[Workflow]) -> QuerySet[Workflow]:
    """Leave out the tasks that a hold keeps."""
    of_tenant = LegalHold.objects.filter(tenant=OuterRef("tenant"), workflow=None)
    of_task = LegalHold.objects.filter(workflow=OuterRef("pk"))
    return tasks.filter(~Exists(of_tenant), ~Exists(of_task))


def held_tenants() -> QuerySet[LegalHold, int]:
    """The tenants of which everything is kept, for a query about rows beside tasks."""
    return LegalHold.objects.filter(workflow=None).values_list("tenant_id", flat=True)


def _note(hold: LegalHold, action: str, *, actor: str, reason: str) -> None:
    values = {"tenant": hold.tenant.slug, "task": str(hold.workflow_id) if hold.workflow_id else None}
    GateChange.objects.create(
        at=database.now(), actor=actor, action=action, target=f"legal hold {hold.pk}", reason=reason,
        before=values if action == "released" else None, after=values if action == "held" else None,
    )  # fmt: skip
