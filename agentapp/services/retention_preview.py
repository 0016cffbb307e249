"""What rules of retention would delete now, and what they have deleted. Counted within a bound. [I3]"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Max, QuerySet, Sum

from agentapp.lifecycle import database, figures, held, holds, retention
from agentapp.lifecycle.retention import Term
from agentapp.models import LegalHold, PrunedTasks, RetentionRule, Workflow
from agentapp.policies import faults
from agentapp.policies.faults import Fault
from agentapp.services.principals import Principal
from agentapp.services.retention_rules import READ, listing

MOST_COUNTED = 10_000
# All counts of a page together; what is not counted by then is told as not counted.
COUNT_S = 0.6
SHOWN_DAYS, MOST_ROWS = 30, 50


@dataclass(frozen=True)
class Preview:
    """How many tasks would go now, and how many a legal hold keeps; None: it could not be counted in time. More than
    MOST_COUNTED are told as one more than that."""

    due: int | None = None
    kept: int | None = None


@dataclass(frozen=True)
class _Page:
    """Some tasks: how many go, how many holds keep, and the last one where there are more."""

    free: int
    kept: int
    last: UUID | None


@dataclass(frozen=True)
class Pruned:
    """What retention has deleted of a tenant, kind and state."""

    tenant: str
    kind: str
    state: str
    tasks: int
    last_at: datetime


def previews(principal: Principal, terms: Iterable[Term]) -> Iterator[Preview]:
    """What each term would delete now of the tenants that the principal may see it of."""
    until_s = time.monotonic() + COUNT_S
    holding = set(principal.visible(LegalHold.objects.all(), scope=READ).values_list("tenant_id", flat=True))
    for term in terms:
        if not term.days:
            yield Preview(0, 0)
            continue
        due = principal.visible(term.due(), scope=READ).order_by()
        free = _count(due.exclude(tenant_id__in=holding), until_s)
        yield _with_holds(due.filter(tenant_id__in=holding), free, until_s) if holding else Preview(free, 0)


def _with_holds(due: QuerySet[Workflow], free: int | None, until_s: float) -> Preview:
    """Count the tasks that holds keep; those of the same tenants that go are added to `free`."""
    whole = holds.held_tenants()
    kept = _count(due.filter(tenant_id__in=whole), until_s)
    left = due.exclude(tenant_id__in=whole).order_by("pk")
    while free is not None and kept is not None and min(free, kept) <= MOST_COUNTED:
        page = _page(left, until_s)
        if page is None:
            return Preview(*(count if count > MOST_COUNTED else None for count in (free, kept)))
        free, kept = free + page.free, kept + page.kept
        if page.last is None:
            break
        left = left.filter(pk__gt=page.last)
    return Preview(free, kept)


def _page(tasks: QuerySet[Workflow], until_s: float) -> _Page | None:
    left_s = until_s - time.monotonic()
    if left_s < 0.01:
        return None
    found: _Page | None = None
    with faults.caught(Fault.LIMIT), figures.bounded(statement_timeout_s=left_s):
        asked = list(tasks.values_list("pk", flat=True)[: held.AT_ONCE])
        kept = len(held.tasks(asked))
        found = _Page(len(asked) - kept, kept, asked[-1] if len(asked) == held.AT_ONCE else None)
    return found


def term_of(principal: Principal, rule: RetentionRule) -> Term:
    """What a rule comes to beside the others that are there, kept or not kept yet."""
    others = [other for other in listing(principal) if other.pk != rule.pk]
    return next(term for term in retention.terms([rule, *others]) if term.rule is rule)


def terms(principal: Principal) -> list[Term]:
    """What all rules that somebody may see come to, and after them the settings."""
    return retention.terms(listing(principal))


def pruned(principal: Principal) -> list[Pruned]:
    """What retention has deleted in the last days, what it deleted last first."""
    since = (database.now() - timedelta(days=SHOWN_DAYS)).date()
    rows = principal.visible(PrunedTasks.objects.filter(day__gte=since), scope=READ)
    found: Any = rows.values("tenant__slug", "kind", "state").annotate(n=Sum("tasks"), last=Max("last_at"))
    return [
        Pruned(row["tenant__slug"], row["kind"], row["state"], row["n"], row["last"])
        for row in found.order_by("-last", "tenant__slug", "kind", "state")[:MOST_ROWS]
    ]


def _count(tasks: QuerySet[Workflow], until_s: float) -> int | None:
    left_s = until_s - time.monotonic()
    if left_s < 0.01:
        return None
    found: int | None = None
    with faults.caught(Fault.LIMIT), figures.bounded(statement_timeout_s=left_s):
        found = tasks.order_by()[: MOST_COUNTED + 1].count()
    return found
