"""What is remembered of customers: list, write, correct, erase. [C8]"""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet

from agentapp.errors import ModelRefused, NotFound, PermanentError, TransientError, Unavailable
from agentapp.lifecycle import memories as moves
from agentapp.lifecycle.memories import Fact, Vector
from agentapp.models import Memory, MemoryChange, Workflow
from agentapp.policies import classify, facts, storable
from agentapp.retrieval import remembering
from agentapp.services import embeddings, legal_holds, validation
from agentapp.services.principals import Principal

READ, WRITE = "memories:read", "memories:write"


def listing(principal: Principal, *, about: str = "", with_superseded: bool = False) -> QuerySet[Memory]:
    """Return the facts that hold, newest first; also those that did, when they are asked for.

    Raises:
        PermissionDenied: the scope memories:read is missing.
    """
    principal.require(READ)
    rows = principal.visible(Memory.objects.defer("search", "embedding").order_by("-id"))
    rows = rows.filter(about=facts.about(about)) if about else rows
    return rows if with_superseded else rows.filter(valid_until__isnull=True)


def get(principal: Principal, memory_id: UUID) -> Memory:
    """Raises NotFound; another tenant's memory is as unknown as one that does not exist."""
    return _known(listing(principal, with_superseded=True), memory_id)


def written_from(principal: Principal, task: Workflow) -> QuerySet[Memory]:
    """The facts that were read from the text of a task: versions that are younger than it. Of who may not read facts
    there, none."""
    if READ not in principal.scopes_in(task.tenant_id):
        return Memory.objects.none()
    # Ids sort by time: the index of the tenant is read from the birth of the task on.
    younger = Memory.objects.filter(tenant=task.tenant_id, pk__gt=task.pk)
    return younger.filter(task_id=task.pk).defer("search", "embedding", "next_embedding").order_by("pk")


def versions(memory: Memory) -> QuerySet[Memory]:
    """All versions of the fact, newest first."""
    rows = Memory.objects.filter(tenant_id=memory.tenant_id, fact_id=memory.fact_id)
    return rows.defer("search", "embedding").order_by("-id")


def changes(memory: Memory) -> QuerySet[MemoryChange]:
    """Who wrote and corrected the fact, newest first."""
    return MemoryChange.objects.filter(tenant_id=memory.tenant_id, fact_id=memory.fact_id).order_by("-id")


def write(
    principal: Principal, *, about: str, text: str, is_untrusted: bool = False, tenant_id: int | None = None
) -> tuple[Memory, bool]:
    """Keep a fact about a customer, unless it is kept already; return it, and whether it is new.

    Raises:
        PermissionDenied: the scope memories:write is missing.
        NotFound: the tenant is not the principal's.
        InvalidInput: a field does not fit, or there are too many facts about this customer.
        Unavailable, ModelRefused: it cannot be embedded; nothing is stored.
    """
    principal.require(WRITE)
    owner_id = principal.chosen_tenant(tenant_id, needs=WRITE)
    about, text = facts.about(about), facts.text(text)
    _check(about=about, text=text)
    return moves.write(Fact(owner_id, about, text, principal.actor, is_untrusted, _vector(owner_id, about, text)))


def correct(principal: Principal, memory_id: UUID, *, text: str) -> Memory:
    """Let another text hold in the place of this version. A person vouches for it: it is trusted from now on.

    Raises:
        PermissionDenied, InvalidInput, Unavailable, ModelRefused: as for a new one.
        NotFound: this tenant has no such memory.
        IllegalMove: it does not hold any more.
    """
    principal.require(WRITE)
    memory = _known(principal.visible(Memory.objects.all()), memory_id)
    principal.require(WRITE, memory.tenant_id)
    text = facts.text(text)
    _check(about=memory.about, text=text)
    fact = Fact(
        memory.tenant_id,
        memory.about,
        text,
        principal.actor,
        is_untrusted=False,
        vector=_vector(memory.tenant_id, memory.about, text),
    )
    return moves.correct(memory, fact)


def erase(principal: Principal, memory_id: UUID) -> None:
    """Delete a fact with all its versions and vectors. Raises NotFound; IllegalMove where a legal hold keeps it."""
    principal.require(WRITE)
    visible = principal.visible(Memory.objects.all())
    memory = _known(visible, memory_id)
    principal.require(WRITE, memory.tenant_id)
    tells = legal_holds.tells(principal, memory.tenant_id)
    if not moves.erase(visible.filter(fact_id=memory.fact_id), actor=principal.actor, tells=tells):
        raise _unknown(memory_id)


def erase_about(principal: Principal, *, about: str, tenant_id: int | None = None) -> int:
    """Delete all that is remembered of a customer; return how many facts that were. Raises IllegalMove as for one."""
    principal.require(WRITE)
    about = facts.about(about)
    _check(about=about, text="-")
    owner_id = principal.chosen_tenant(tenant_id, needs=WRITE)
    rows = Memory.objects.filter(tenant_id=owner_id, about=about)
    tells = legal_holds.tells(principal, owner_id)
    return moves.erase(rows, actor=principal.actor, customer=(owner_id, about), tells=tells)


def _known(rows: QuerySet[Memory], memory_id: UUID) -> Memory:
    found = rows.filter(pk=memory_id).first()
    if found is None:
        raise _unknown(memory_id)
    return found


def _unknown(memory_id: UUID) -> NotFound:
    return NotFound(f"This tenant has no memory {memory_id}.")


def _check(*, about: str, text: str) -> None:
    longest = (("about", about, facts.LONGEST_ABOUT), ("text", text, facts.LONGEST_TEXT))
    validation.raise_problems(
        (field, f"This is a text of 1 to {most} characters.")
        for field, value, most in longest
        if not 0 < len(value) <= most or not storable.is_storable(value)
    )


def _vector(tenant_id: int, about: str, text: str) -> Vector | None:
    """Return what a fact means, before a transaction begins; None where nothing embeds."""
    try:
        (vector,) = remembering.meaning([text], embeddings.of_tenant(tenant_id), tenant_id=tenant_id, about=about)
    except PermanentError as error:
        raise ModelRefused(_not_stored(error)) from error
    except TransientError as error:
        # Without the cause: it would be read as one of our own stores, whose words are not for clients.
        raise Unavailable(_not_stored(error), retry_after_s=max(1, round(classify.retry_after_s(error) or 5))) from None
    return vector


def _not_stored(error: Exception) -> str:
    return f"The fact was not stored, because it could not be embedded: {str(error).rstrip('.')}."
