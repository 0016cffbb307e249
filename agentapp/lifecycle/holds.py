"""Legal holds: placed and lifted, and what they keep. Every change leaves a GateChange."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import BooleanField, Exists, F, Func, OuterRef, Q, QuerySet

from agentapp.errors import IllegalMove, NotFound
from agentapp.lifecycle import audit, database
from agentapp.models import LegalHold, Stage, Workflow
from agentapp.policies import naming

# Who deletes holds it together with others, who places a hold alone: so a hold begins before or after a batch.
LOCK = (27759, 27756)  # "lo", "ll"
# The holds that keep a task, itself or a task whose part it is. A customer whose pattern is not known yet, because the
# hold is younger than the question, is taken to be named.
_KEEPING = """
WITH RECURSIVE line AS (
  SELECT w.id, w.parent, w.origin FROM agentapp_workflow w WHERE w.id = {task}
  UNION SELECT w.id, w.parent, w.origin FROM line
    JOIN agentapp_workflow w ON line.origin = 'child' AND w.id = line.parent)
SELECT h.id FROM line JOIN agentapp_workflow w ON w.id = line.id JOIN agentapp_legalhold h ON h.tenant_id = w.tenant_id
  CROSS JOIN LATERAL (SELECT %s::jsonb ->> h.id::text AS customer) pattern
 WHERE CASE
  WHEN h.workflow_id IS NOT NULL THEN h.workflow_id = w.id
  WHEN h.label_name <> '' THEN w.labels ->> h.label_name = h.label_value
  WHEN h.customer = '' THEN true
  ELSE coalesce(concat_ws(' ', w.input, w.result, w.error, w.labels) ~* pattern.customer, true)
    OR EXISTS (SELECT 1 FROM agentapp_message m WHERE m.workflow_id = w.id AND m.text ~* pattern.customer)
    OR EXISTS (SELECT 1 FROM agentapp_reply r WHERE r.workflow_id = w.id AND r.text ~* pattern.customer) END"""


@dataclass(frozen=True)
class Cover:
    """What a hold keeps: one of these, or without any all of its tenant."""

    task_id: UUID | None = None
    customer: str = ""
    label_name: str = ""
    label_value: str = ""

    def columns(self) -> dict[str, Any]:
        return {
            "workflow_id": self.task_id, "customer": self.customer,
            "label_name": self.label_name, "label_value": self.label_value,
        }  # fmt: skip


_ALL_OF_TENANT = Cover()


class _IsKept(Func):
    """Whether a hold keeps the task with this id."""

    arity = 1
    output_field = BooleanField()

    def as_sql(self, compiler: Any, connection: Any, *args: Any, **context: Any) -> tuple[str, tuple[Any, ...]]:
        task, parameters = compiler.compile(self.source_expressions[0])
        return f"EXISTS ({_KEEPING.format(task=task)})", (*parameters, _patterns())


def place(tenant_id: int, *, cover: Cover = _ALL_OF_TENANT, reason: str, actor: str) -> LegalHold:
    """Keep what `cover` says until the hold is lifted. A hold that is there already stays as it is.

    Raises:
        NotFound: the task is gone.
        IllegalMove: it is being deleted: its steps are gone already.
    """
    with database.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", LOCK)
        if cover.task_id:
            task = Workflow.objects.select_for_update(no_key=True).filter(pk=cover.task_id).first()
            _check_whole(cover.task_id, task)
        hold, is_new = LegalHold.objects.get_or_create(
            tenant_id=tenant_id,
            **cover.columns(),
            defaults={"reason": reason, "placed_by": actor, "placed_at": database.now()},
        )
        if is_new:
            _note(hold, "held", actor=actor, reason=reason)
    return hold


def lift(hold: LegalHold, *, reason: str, actor: str) -> None:
    """Let a hold go; what it kept is deleted by the rules that hold for all. Raises NotFound: it is gone."""
    with database.atomic():
        found = LegalHold.objects.select_for_update(of=("self",)).select_related("tenant").filter(pk=hold.pk).first()
        if found is None:
            raise NotFound(f"The legal hold on {hold.covers} was released already.")
        _note(found, "released", actor=actor, reason=reason)
        found.delete()


def wait_for_holds() -> None:
    """Called in a transaction that deletes, before it looks for holds: none is placed until its end."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s, %s)", LOCK)


def refuse_held(tenant_id: int, *, what: str, customers: Collection[str] = ()) -> None:
    """Raises IllegalMove where a hold keeps all of the tenant, or one of these customers of it. For the transaction
    that deletes."""
    wait_for_holds()
    held = LegalHold.objects.filter(_WHOLE | Q(customer__in=customers), tenant_id=tenant_id).order_by("pk").first()
    if held is not None:
        raise refusal(held, what=what)


def refusal(hold: LegalHold, *, what: str) -> IllegalMove:
    others = LegalHold.objects.filter(tenant=hold.tenant_id).exclude(pk=hold.pk).count()
    # Whom a customer is, not everybody may read who may delete.
    on = "the customer" if hold.customer else hold.covers
    more = f" There are {others:,} more on the tenant or parts of it." if others else ""
    return IllegalMove(
        f"{what} cannot be deleted: {hold.placed_by} has placed a legal hold on {on} on "
        f"{hold.placed_at:%Y-%m-%d} ({hold.reason}).{more} Ask them whether it may be lifted: on its page in the "
        "admin, or by `manage.py legal_hold TENANT --lift`."
    )


def free(tasks: QuerySet[Workflow]) -> QuerySet[Workflow]:
    """Leave out the tasks that a hold keeps."""
    # A whole tenant at once: not by asking of each of its tasks.
    return tasks.exclude(tenant_id__in=held_tenants()).filter(~_HAS_HOLDS | ~_IS_KEPT)


def kept(tasks: QuerySet[Workflow]) -> QuerySet[Workflow]:
    """Leave only the tasks that a hold keeps."""
    return tasks.filter(_HAS_HOLDS & _IS_KEPT)


def of_task(task_id: UUID) -> QuerySet[LegalHold]:
    """The holds that keep a task, the oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(_KEEPING.format(task="%s"), [task_id, _patterns()])
        found = [row[0] for row in cursor.fetchall()]
    return LegalHold.objects.filter(pk__in=found).order_by("pk")


def held_tenants() -> QuerySet[LegalHold, int]:
    """The tenants of which everything is kept, for a query about rows beside tasks."""
    return LegalHold.objects.filter(_WHOLE).values_list("tenant_id", flat=True)


_WHOLE = Q(workflow=None, customer="", label_name="")
# Asked of each task only in tenants that have holds.
_HAS_HOLDS = Exists(LegalHold.objects.filter(tenant=OuterRef("tenant")))
_IS_KEPT = _IsKept(F("pk"))


def _patterns() -> str:
    """What finds the customers that holds name, by the number of the hold, as JSON."""
    found = LegalHold.objects.exclude(customer="").values_list("pk", "customer")
    return json.dumps({str(pk): naming.pattern(customer) for pk, customer in found})


def _check_whole(task_id: UUID, task: Workflow | None) -> None:
    if task is None:
        raise NotFound(f"There is no task {task_id}.")
    if not Stage.objects.filter(workflow=task).exists():
        raise IllegalMove(f"The task {task_id} is being deleted: its steps are gone.")


def _note(hold: LegalHold, action: str, *, actor: str, reason: str) -> None:
    values = {"tenant": hold.tenant.slug, "covers": hold.covers}
    before, after = (values, None) if action == "released" else (None, values)
    audit.note(f"legal hold {hold.pk}", action, actor=actor, reason=reason, before=before, after=after)
