"""Vectors of another embedding model: made beside those that searches compare, and taken for them once all are there.

A row has the vector that it was stored with, and perhaps a `next_` one. Which of them a search compares is not stored:
it is the model of which the most rows have a vector. So nothing is missed half-way, whatever is loaded, cancelled or
begun again meanwhile.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from django.db.models import Case, Count, F, Model, Q, QuerySet, When
from pgvector.django import CosineDistance, VectorField

from agentapp import flows, registry
from agentapp.errors import InvalidPlan
from agentapp.ids import uuid7
from agentapp.lifecycle import database
from agentapp.lifecycle.opened import Opened
from agentapp.lifecycle.submit import submit
from agentapp.models import Chunk, Memory, Tenant, Workflow
from agentapp.policies import priority
from agentapp.states import Origin

KIND = "reembed"
# Rows of one UPDATE, with a vector each.
AT_ONCE = 500
NO_NEXT: dict[str, Any] = {"next_embedding": None, "next_model": "", "next_dimension": 0}

Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True)
class Space:
    """What can be compared with each other: vectors of one model and one dimension."""

    model: str
    dimension: int

    @property
    def is_first(self) -> Q:
        return Q(embedding_model=self.model, embedding_dimension=self.dimension)

    @property
    def is_next(self) -> Q:
        return Q(next_model=self.model, next_dimension=self.dimension)

    @property
    def holds(self) -> Q:
        """The rows that have a vector of this space. No others may be compared."""
        return self.is_first | self.is_next

    def distance(self, vector: Sequence[float]) -> CosineDistance:
        """How far a row is from a vector of this space; null where it has none, whatever it has of another."""
        own = Case(
            When(self.is_first, then=F("embedding")), When(self.is_next, then=F("next_embedding")),
            output_field=VectorField(),
        )  # fmt: skip
        return CosineDistance(own, vector)


def passages(tenant_id: int) -> QuerySet[Chunk]:
    return Chunk.objects.filter(tenant_id=tenant_id)


def facts(tenant_id: int, about: str | None = None) -> QuerySet[Memory]:
    """The facts that hold, of one customer or of all."""
    rows = Memory.objects.filter(tenant_id=tenant_id, valid_until__isnull=True)
    return rows if about is None else rows.filter(about=about)


def model_in_use(rows: QuerySet[Row], configured: str) -> str:
    """Return the model by whose vectors these rows are searched: that of the most of them, or the configured one."""
    other = Q(embedding_model__gt=configured) | Q(embedding_model__gt="", embedding_model__lt=configured)
    if not configured or not rows.filter(other).exists():
        return configured
    counts: Counter[str] = Counter()
    for first, following, count in _by_model(rows):
        counts.update(dict.fromkeys({first, following if following == configured else ""} - {""}, count))
    return max(counts, key=lambda model: (counts[model], model == configured, model))


def _by_model(rows: QuerySet[Row]) -> list[tuple[str, str, int]]:
    counted = rows.order_by().values_list("embedding_model", "next_model").annotate(count=Count("pk"))
    return [(str(first), str(following), count) for first, following, count in counted]


def stale(rows: QuerySet[Row], space: Space) -> QuerySet[Row]:
    """The rows without a vector of this space."""
    return rows.exclude(space.is_first).exclude(space.is_next)


def keep(rows: QuerySet[Row], ids: Sequence[UUID], space: Space, vectors: Sequence[Sequence[float]]) -> None:
    """Store vectors beside those that are searched by now. A row that is gone by then is passed over."""
    with database.atomic():
        for row_id, vector in zip(ids, vectors, strict=True):
            rows.filter(pk=row_id).update(
                next_embedding=list(vector), next_model=space.model, next_dimension=space.dimension
            )


def settle(rows: QuerySet[Row], space: Space) -> tuple[int, int]:
    """Let the vectors of a space take the place of the others, once every row has one; return how many rows that
    concerned, and how many have none yet.

    A search finds the same before, between and after its steps: it reads both places.
    """
    if left := stale(rows, space).count():
        return 0, left
    done = 0
    while moved := _move(rows, space):
        done += moved
    with database.atomic():
        # Of a model that was configured meanwhile, and is not any more.
        rows.exclude(next_model="").exclude(space.is_next).update(**NO_NEXT)
    return done, 0


def _move(rows: QuerySet[Row], space: Space) -> int:
    """Put some vectors of a space into the first place; return how many."""
    with database.atomic():
        ids = list(rows.filter(space.is_next).order_by().values_list("pk", flat=True)[:AT_ONCE])
        return rows.filter(space.is_next, pk__in=ids).update(
            embedding=F("next_embedding"), embedding_model=F("next_model"), embedding_dimension=F("next_dimension"),
            **NO_NEXT,
        )  # fmt: skip


def begin(tenant_id: int, *, actor: str) -> tuple[Workflow, Opened] | None:
    """Start the task that makes the vectors of a tenant again; None where one is open already."""
    flow = registry.latest_flow(KIND)
    if flow is None:
        raise InvalidPlan(f"There is no task kind {KIND}: it is part of tasks/flows.")
    with database.atomic():
        # Two that start it at the same moment come one after the other.
        Tenant.objects.select_for_update().get(pk=tenant_id)
        if open_task(tenant_id) is not None:
            return None
        workflow = Workflow(
            id=uuid7(), tenant_id=tenant_id, kind=KIND, version=flow.version, origin=Origin.DOCUMENT, input={},
            priority=priority.NAMES.index("low"), result_bind=flows.paths_of(flow.result),
        )  # fmt: skip
        return workflow, submit(workflow, stages=flows.plan(flow), actor=actor)[0]


def open_task(tenant_id: int) -> Workflow | None:
    return Workflow.objects.filter(tenant_id=tenant_id, kind=KIND, finished_at=None).first()
