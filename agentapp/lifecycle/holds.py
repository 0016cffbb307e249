"""Legal holds: placed and lifted, and what they keep. Every change leaves a GateChange."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Q, QuerySet

from agentapp.errors import IllegalMove, NotFound
from agentapp.lifecycle import audit, database, held
from agentapp.models import Document, LegalHold, Stage, Workflow
from agentapp.policies import naming

# Who deletes holds it together with others, who places a hold alone: so a hold begins before or after a batch.
LOCK = (27759, 27756)  # "lo", "ll"


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


def refuse_held(tenant_id: int, *, what: str, customers: Collection[str] = (), tells: bool = False) -> None:
    """Raises IllegalMove where a hold keeps all of the tenant, or one of these customers of it. For the transaction
    that deletes. `tells`: who asks may see holds."""
    wait_for_holds()
    asked = {naming.folded(customer) for customer in customers}
    holds = LegalHold.objects.filter(tenant_id=tenant_id).order_by("pk")
    if customers:
        named = [pk for pk, customer in holds.values_list("pk", "customer") if naming.folded(customer) in asked]
        holds = holds.filter(_WHOLE | Q(pk__in=named))
    else:
        holds = holds.filter(_WHOLE)
    if (hold := holds.first()) is not None:
        raise refusal(hold, what=what, tells=tells)


def keeping(documents: Collection[Document]) -> Iterator[tuple[Document, LegalHold]]:
    """Those of these documents that a hold keeps, on their tenant or on a customer whom they name, each with the oldest
    such hold. For the transaction that deletes."""
    wait_for_holds()
    whole = LegalHold.objects.filter(_WHOLE, tenant__in={document.tenant_id for document in documents})
    if not whole.exists() and not held.documents(documents):
        return
    for document in documents:
        on_it = _WHOLE | Q(pk__in=held.documents([document]))
        hold = LegalHold.objects.filter(on_it, tenant=document.tenant_id).order_by("pk").first()
        if hold is not None:
            yield document, hold


def refuse_documents(documents: Collection[Document], *, tells: bool = False) -> None:
    """Raises IllegalMove where a hold keeps one of these documents. For the transaction that deletes."""
    for document, hold in keeping(documents):
        raise refusal(hold, what=f"The document {document.source if tells else document.pk}", tells=tells)


def refusal(hold: LegalHold, *, what: str, tells: bool) -> IllegalMove:
    """Whom a hold is on, who has placed it and why, only those are told who may see holds."""
    if not tells:
        return IllegalMove(
            f"{what} cannot be deleted: a legal hold keeps it. Ask an administrator of the tenant whether it may be "
            "released."
        )
    others = LegalHold.objects.filter(tenant=hold.tenant_id).exclude(pk=hold.pk).count()
    more = f" There are {others:,} more on the tenant or parts of it." if others else ""
    return IllegalMove(
        f"{what} cannot be deleted: {hold.placed_by} has placed a legal hold on {hold.covers} on "
        f"{hold.placed_at:%Y-%m-%d} ({hold.reason}).{more} Ask them whether it may be lifted: on its page in the "
        "admin, or by `manage.py legal_hold TENANT --lift`."
    )


def of_task(task_id: UUID, *, most: int) -> QuerySet[LegalHold]:
    """Holds that keep a task, the oldest first: all, or `most` where it names more customers that have one."""
    found = held.tasks([task_id], most=most).get(task_id, ())
    return LegalHold.objects.filter(pk__in=found).order_by("pk")[:most]


def held_tenants() -> QuerySet[LegalHold, int]:
    """The tenants of which everything is kept, for a query about rows beside tasks."""
    return LegalHold.objects.filter(_WHOLE).values_list("tenant_id", flat=True)


_WHOLE = Q(workflow=None, customer="", label_name="")


def _check_whole(task_id: UUID, task: Workflow | None) -> None:
    if task is None:
        raise NotFound(f"There is no task {task_id}.")
    if not Stage.objects.filter(workflow=task).exists():
        raise IllegalMove(f"The task {task_id} is being deleted: its steps are gone.")


def _note(hold: LegalHold, action: str, *, actor: str, reason: str) -> None:
    values = {"tenant": hold.tenant.slug, "covers": hold.covers}
    before, after = (values, None) if action == "released" else (None, values)
    audit.note(f"legal hold {hold.pk}", action, actor=actor, reason=reason, before=before, after=after)
