"""Legal holds: placed and lifted, and what they keep. Every change leaves a GateChange."""

from __future__ import annotations

from uuid import UUID

from django.db import connection
from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.expressions import RawSQL

from agentapp.errors import IllegalMove, NotFound
from agentapp.lifecycle import audit, database
from agentapp.models import LegalHold, Stage, Workflow

# Who deletes holds it together with others, who places a hold alone: so a hold begins before or after a batch.
LOCK = (27759, 27756)  # "lo", "ll"
# The tasks that holds name, with those that their jobs run.
_NAMED = """
WITH RECURSIVE named AS (
  SELECT workflow_id AS id FROM agentapp_legalhold WHERE workflow_id IS NOT NULL
  UNION SELECT w.id FROM named JOIN agentapp_workflow w ON w.parent = named.id AND w.origin = 'child')
SELECT id FROM named"""


def place(tenant_id: int, *, task_id: UUID | None = None, reason: str, actor: str) -> LegalHold:
    """Keep all of a tenant, or one task, until the hold is lifted. A hold that is there already stays as it is.

    Raises:
        NotFound: the task is gone.
        IllegalMove: it is being deleted: its steps are gone already.
    """
    with database.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", LOCK)
        task = Workflow.objects.select_for_update(no_key=True).filter(pk=task_id).first() if task_id else None
        if task_id:
            _check_whole(task_id, task)
        hold, is_new = LegalHold.objects.get_or_create(
            tenant_id=tenant_id,
            workflow=task,
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


def wait_for_holds() -> None:
    """Called in a transaction that deletes, before it looks for holds: none is placed until its end."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s, %s)", LOCK)


def refuse_held(tenant_id: int, *, what: str, task_id: UUID | None = None) -> None:
    """Raises IllegalMove where a hold keeps all of the tenant, or this task of it. For the transaction that deletes."""
    wait_for_holds()
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
    return tasks.filter(~Exists(of_tenant)).exclude(pk__in=RawSQL(_NAMED, []))  # noqa: S611 - a text of ours


def held_tenants() -> QuerySet[LegalHold, int]:
    """The tenants of which everything is kept, for a query about rows beside tasks."""
    return LegalHold.objects.filter(workflow=None).values_list("tenant_id", flat=True)


def _check_whole(task_id: UUID, task: Workflow | None) -> None:
    if task is None:
        raise NotFound(f"There is no task {task_id}.")
    if not Stage.objects.filter(workflow=task).exists():
        raise IllegalMove(f"The task {task_id} is being deleted: its steps are gone.")


def _note(hold: LegalHold, action: str, *, actor: str, reason: str) -> None:
    values = {"tenant": hold.tenant.slug, "task": str(hold.workflow_id) if hold.workflow_id else None}
    before, after = (values, None) if action == "released" else (None, values)
    audit.note(f"legal hold {hold.pk}", action, actor=actor, reason=reason, before=before, after=after)
