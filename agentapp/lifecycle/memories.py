"""Facts about customers: written, superseded by a new version, erased. Every change leaves a MemoryChange.

All that writes about one customer, in any spelling, takes turns under a lock of that customer, so that two writers of
one fact make one row, and one of them finds what the other has written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from agentapp.errors import IllegalMove, InvalidInput
from agentapp.ids import uuid7
from agentapp.lifecycle import database, holds, read_until
from agentapp.lifecycle.vectors import Space
from agentapp.models import Memory, MemoryChange
from agentapp.policies import facts, naming

# The first half of the lock's number; the second is a hash of tenant and customer.
_LOCK = 28_005


@dataclass(frozen=True)
class Vector:
    """What a fact means, by which model."""

    values: list[float]
    model: str
    dimension: int


@dataclass(frozen=True)
class Fact:
    """A fact to be kept. `actor` is who writes it, `task_id` whose text it was read from."""

    tenant_id: int
    about: str
    text: str
    actor: str
    is_untrusted: bool
    vector: Vector | None = None
    task_id: UUID | None = None


@dataclass(frozen=True)
class ReadFact:
    """A fact that was read from a task of this time, and the version that it contradicts."""

    fact: Fact
    began_at: datetime
    finished_at: datetime
    supersedes: UUID | None = None


@dataclass(frozen=True)
class Synced:
    """How many facts are new, were known already, or are kept no more: there are too many, or what they were read from
    was read before, or their customer's facts were erased since it was said."""

    new: int = 0
    known: int = 0
    dropped: int = 0


def write_read(found: Sequence[ReadFact], *, tenant_id: int, about: str, until: datetime, actor: str) -> Synced:
    """Keep what was read from the tasks of a customer that finished until then, all or nothing, and each task once."""
    new = known = dropped = 0
    with database.atomic():
        _take_turn(tenant_id, about)
        marks = read_until.of(tenant_id, [about])[about]
        for one in found:
            if not marks.allow(began_at=one.began_at, finished_at=one.finished_at):
                dropped += 1
                continue
            try:
                _, is_new = write(one.fact, merges=True, supersedes=one.supersedes)
            except InvalidInput:
                dropped += 1
                continue
            new, known = new + is_new, known + (not is_new)
        read_until.put(tenant_id, about, read_until.READ, until, actor=actor)
    return Synced(new, known, dropped)


def write(
    fact: Fact, *, merges: bool = False, supersedes: UUID | None = None, began_at: datetime | None = None
) -> tuple[Memory, bool]:
    """Keep a fact, unless it is kept already; return the version that holds, and whether it is new.

    With `merges`, a fact whose vector is as good as the same is the same. `supersedes` is the version that ends by it;
    one that has ended meanwhile, or is another customer's, ends nothing. What is read from a text of others ends
    nothing that a person has vouched for. A trusted fact takes the place of the same one that is untrusted. `began_at`
    is when what a task read of the customer was said at the earliest.

    Raises:
        InvalidInput: there are too many facts about this customer, or they were erased since `began_at`.
    """
    with database.atomic():
        _take_turn(fact.tenant_id, fact.about)
        _refuse_erased(fact, began_at)
        holding = _holding(fact.tenant_id, fact.about)
        earlier = holding.filter(pk=supersedes).first() if supersedes else None
        if earlier is not None and fact.is_untrusted and not earlier.is_untrusted:
            earlier = None
        same = _same(holding, fact, merges=merges and earlier is None)
        now = database.now()
        if same is not None:
            if earlier is not None and earlier.pk != same.pk:
                _end(earlier, fact, now)
            return (_vouched(same, fact, now), True) if _vouches(fact, same) else (same, False)
        if earlier is not None:
            _end(earlier, fact, now)
        elif holding.count() >= facts.MOST_OF_ONE:
            words = f"There are {facts.MOST_OF_ONE} facts about this customer already. Erase some that are of no use."
            raise InvalidInput.at("about", words)
        return _insert(fact, now, of=earlier.fact_id if earlier else None), True


def correct(memory: Memory, fact: Fact) -> Memory:
    """Let another text hold in the place of a version.

    Raises:
        IllegalMove: it does not hold any more.
        InvalidInput: another fact about this customer says so already.
    """
    with database.atomic():
        _take_turn(memory.tenant_id, memory.about)
        holding = _holding(memory.tenant_id, memory.about)
        if not holding.filter(pk=memory.pk).exists():
            raise IllegalMove(
                "This version does not hold any more. Read the fact again, and correct the one that does."
            )
        same = _same(holding, fact, merges=False)
        if same is not None and same.pk != memory.pk:
            raise InvalidInput.at("text", f"Memory {same.pk} says so already. Erase one of the two.")
        if same is not None and same.text == fact.text and not _vouches(fact, same):
            return same
        now = database.now()
        _end(memory, fact, now)
        return _insert(fact, now, of=memory.fact_id)


def erase(rows: QuerySet[Memory], *, actor: str, customer: tuple[int, str] | None = None, tells: bool = False) -> int:
    """Delete the facts that these rows are versions of, with all their versions and vectors; return how many facts.
    Tasks that have begun by now are not read for facts about these customers any more, nor about this `customer` of a
    tenant, of whom nothing may be known yet. `tells`: who asks may see holds.

    Raises:
        IllegalMove: a legal hold keeps one of them, or all of their tenant; nothing is erased.
    """
    with database.atomic():
        # In one order: two that erase the same do not wait for each other in a circle.
        named = set(rows.order_by().values_list("tenant_id", "about"))
        places = sorted(named | ({customer} if customer else set()))
        for tenant_id in {place[0] for place in places}:
            abouts = [about for owner, about in places if owner == tenant_id]
            holds.refuse_held(tenant_id, what="What is remembered of a customer", customers=abouts, tells=tells)
        for tenant_id, folded in sorted({(tenant_id, naming.folded(about)) for tenant_id, about in places}):
            _take_turn(tenant_id, folded)
        found = set(rows.order_by().values_list("tenant_id", "fact_id"))
        now = database.now()
        for tenant_id, about in places:
            read_until.put(tenant_id, about, read_until.ERASED, now, actor=actor)
        MemoryChange.objects.bulk_create(
            MemoryChange(tenant_id=tenant_id, fact_id=fact_id, at=now, action="erased", actor=actor)
            for tenant_id, fact_id in sorted(found)
        )
        Memory.objects.filter(fact_id__in=[fact_id for _, fact_id in found]).delete()
    return len(found)


def _refuse_erased(fact: Fact, began_at: datetime | None) -> None:
    erased = read_until.of(fact.tenant_id, [fact.about])[fact.about].erased if began_at else None
    if began_at and erased and began_at <= erased:
        words = "What is known of this customer was erased after this task had begun: it remembers nothing of them."
        raise InvalidInput.at("about", words)


def _vouches(fact: Fact, same: Memory) -> bool:
    """Whether a person says now what was only read from a text of others before."""
    return same.is_untrusted and not fact.is_untrusted


def _vouched(same: Memory, fact: Fact, now: datetime) -> Memory:
    _end(same, fact, now)
    return _insert(fact, now, of=same.fact_id)


def _take_turn(tenant_id: int, about: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [_LOCK, f"{tenant_id} {naming.folded(about)}"])


def _holding(tenant_id: int, about: str) -> QuerySet[Memory]:
    return Memory.objects.filter(tenant_id=tenant_id, about=about, valid_until__isnull=True)


def _same(holding: QuerySet[Memory], fact: Fact, *, merges: bool) -> Memory | None:
    same = holding.filter(text_sha256=facts.digest(fact.text)).first()
    if same is not None or not merges or fact.vector is None:
        return same
    space = Space(fact.vector.model, fact.vector.dimension)
    near = holding.filter(space.holds).annotate(distance=space.distance(fact.vector.values)).order_by("distance", "id")
    return near.filter(distance__lt=facts.SAME_WITHIN).first()


def _insert(fact: Fact, now: datetime, *, of: UUID | None) -> Memory:
    memory_id, vector = uuid7(), fact.vector
    memory = Memory(
        id=memory_id, tenant_id=fact.tenant_id, about=fact.about, fact_id=of or memory_id, text=fact.text,
        text_sha256=facts.digest(fact.text), is_untrusted=fact.is_untrusted, written_by=fact.actor,
        task_id=fact.task_id, valid_from=now, embedding=vector.values if vector else None,
        embedding_model=vector.model if vector else "", embedding_dimension=vector.dimension if vector else 0,
    )  # fmt: skip
    with database.atomic():
        Memory.objects.bulk_create([memory])
        _note("written", memory, fact, now)
    return memory


def _end(memory: Memory, fact: Fact, now: datetime) -> None:
    with database.atomic():
        Memory.objects.filter(pk=memory.pk).update(valid_until=now)
        _note("superseded", memory, fact, now)


def _note(action: str, memory: Memory, fact: Fact, now: datetime) -> None:
    MemoryChange.objects.create(
        tenant_id=memory.tenant_id, fact_id=memory.fact_id, at=now, action=action, actor=fact.actor,
        task_id=fact.task_id,
    )  # fmt: skip
