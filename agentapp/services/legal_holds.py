"""Legal holds of a tenant: placed, listed, lifted. For its administrators, and for operators. [I3]"""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet

from agentapp.errors import InvalidInput, NotFound
from agentapp.ids import parsed
from agentapp.lifecycle import holds as moves
from agentapp.lifecycle.holds import Cover
from agentapp.models import LegalHold, Tenant, Workflow
from agentapp.policies import facts, labels, naming, storable
from agentapp.policies.permissions import PAYLOADS
from agentapp.services import validation
from agentapp.services.erasing_customers import LEAST
from agentapp.services.new_task import MAX_LABEL_CHARACTERS
from agentapp.services.principals import Principal
from agentapp.services.retention_rules import READ, actor_of

LONGEST_ACTOR = 200


def listing(tenant: Tenant) -> QuerySet[LegalHold]:
    return LegalHold.objects.filter(tenant=tenant).order_by("pk")


def visible(principal: Principal) -> QuerySet[LegalHold]:
    """The holds of the tenants in which somebody may see them."""
    principal.require(READ)
    return principal.visible(LegalHold.objects.select_related("tenant").order_by("-pk"), scope=READ)


def tells(principal: Principal, tenant_id: int) -> bool:
    """Whether somebody may be told whom a hold of a tenant is on, who has placed it and why. No key may."""
    return principal.scopes_in(tenant_id) >= {READ, PAYLOADS}


def of_task(principal: Principal, task: Workflow, *, most: int) -> QuerySet[LegalHold]:
    """Up to `most` of the holds that keep a task, as far as somebody may see them."""
    return (
        moves.of_task(task.pk, most=most) if READ in principal.scopes_in(task.tenant_id) else LegalHold.objects.none()
    )


def cover(tenant: Tenant, *, task: str | UUID | None = None, customer: str = "", label: str = "") -> Cover:
    """What a hold keeps: one of these, or all of the tenant. A label is written as `labels` reads it.

    Raises:
        InvalidInput: several are named, or one cannot be.
        NotFound: the tenant has no such task.
    """
    if sum(map(bool, (task, customer, label))) > 1:
        raise InvalidInput.at("covers", "Name one task, one customer or one label. A second one takes a second hold.")
    if customer:
        about = facts.about(customer)
        if not LEAST <= len(about) <= facts.LONGEST_ABOUT or not storable.is_storable(about):
            words = f"Write a mail address, or a name of {LEAST} to {facts.LONGEST_ABOUT} characters."
            raise InvalidInput.at("customer", words)
        # A second hold on the same changes nothing, however the name is written.
        kept = listing(tenant).exclude(customer="").values_list("customer", flat=True)
        folded = naming.folded(about)
        return Cover(customer=next((one for one in kept if naming.folded(one) == folded), about))
    if label:
        return _label(label)
    if not task:
        return Cover()
    task_id = parsed(str(task))
    if task_id is None or not Workflow.objects.filter(tenant=tenant, pk=task_id).exists():
        raise NotFound(f"The tenant {tenant.slug} has no task {task}.")
    return Cover(task_id)


def _label(line: str) -> Cover:
    name, value = labels.read(line) or ("", "")
    if not name or max(len(name), len(value)) > MAX_LABEL_CHARACTERS or not storable.is_storable(name + value):
        raise InvalidInput.at("label", labels.HOW)
    return Cover(label_name=name, label_value=value)


def place(tenant: Tenant, *, on: Cover, reason: str, by: Principal | str) -> LegalHold:
    """Place a hold; one that is there stays as it is.

    Raises:
        InvalidInput: there is no reason, or it is too long.
        NotFound: the task is gone.
        IllegalMove: the task is being deleted.
        PermissionDenied: they may not place holds in this tenant.
    """
    actor = _actor(actor_of(by, tenant.pk))
    return moves.place(tenant.pk, cover=on, reason=_reason(reason), actor=actor)


def find(tenant: Tenant, on: Cover) -> LegalHold:
    """Raises NotFound."""
    hold = listing(tenant).filter(**on.columns()).first()
    if hold is None:
        where = LegalHold(tenant=tenant, **on.columns()).covers
        where = f"the whole of {tenant.slug}" if on == Cover() else where
        raise NotFound(
            f"There is no legal hold on {where}. `manage.py legal_hold {tenant.slug}` lists those that there are."
        )
    return hold


def lift(hold: LegalHold, *, reason: str, by: Principal | str) -> None:
    """Let go of a hold. Raises as `place` does; NotFound when it is gone."""
    moves.lift(hold, reason=_reason(reason), actor=_actor(actor_of(by, hold.tenant_id)))


def _reason(reason: str) -> str:
    reason = validation.checked_reason(reason).strip()
    if not reason:
        raise InvalidInput.at("reason", "Say why.")
    return reason


def _actor(actor: str) -> str:
    if not 0 < len(actor) <= LONGEST_ACTOR or not storable.is_storable(actor):
        raise InvalidInput.at("by", f"This is a name of at most {LONGEST_ACTOR} characters.")
    return actor
