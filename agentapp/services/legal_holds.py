"""Legal holds of a tenant: placed, listed, lifted. For operators. [I3]"""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet

from agentapp.errors import InvalidInput, NotFound
from agentapp.lifecycle import holds as moves
from agentapp.models import LegalHold, Tenant, Workflow
from agentapp.policies import storable
from agentapp.services import validation

LONGEST_ACTOR = 200


def listing(tenant: Tenant) -> QuerySet[LegalHold]:
    return LegalHold.objects.filter(tenant=tenant).order_by("pk")


def place(tenant: Tenant, *, task_id: UUID | None, reason: str, actor: str) -> LegalHold:
    """Place a hold on a tenant, or on one task of it; one that is there stays as it is.

    Raises:
        InvalidInput: there is no reason, or it is too long.
        NotFound: the tenant has no such task.
        IllegalMove: the task is being deleted.
    """
    reason, actor = _reason(reason), _actor(actor)
    if task_id is not None and not Workflow.objects.filter(tenant=tenant, pk=task_id).exists():
        raise NotFound(f"The tenant {tenant.slug} has no task {task_id}.")
    return moves.place(tenant.pk, task_id=task_id, reason=reason, actor=actor)


def lift(tenant: Tenant, *, task_id: UUID | None, reason: str, actor: str) -> None:
    """Let go of a hold. Raises InvalidInput, NotFound when there is none."""
    reason, actor = _reason(reason), _actor(actor)
    hold = listing(tenant).filter(workflow=task_id).first()
    if hold is None:
        on = f"the task {task_id}" if task_id else f"the whole of {tenant.slug}"
        raise NotFound(
            f"There is no legal hold on {on}. `manage.py legal_hold {tenant.slug}` lists those that there are."
        )
    moves.lift(hold, reason=reason, actor=actor)


def _reason(reason: str) -> str:
    reason = validation.checked_reason(reason).strip()
    if not reason:
        raise InvalidInput.at("reason", "Say why.")
    return reason


def _actor(actor: str) -> str:
    if not 0 < len(actor) <= LONGEST_ACTOR or not storable.is_storable(actor):
        raise InvalidInput.at("by", f"This is a name of at most {LONGEST_ACTOR} characters.")
    return actor
