"""Which tasks are meant: the filters of the list of tasks, of cancelling many, and of the pages for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.postgres.search import CombinedSearchQuery, SearchQuery, SearchQueryField
from django.db.models import Exists, Expression, Func, IntegerField, OuterRef, QuerySet, Value
from django.db.models.functions import Cast
from django.db.models.lookups import GreaterThan

from agentapp.models import SearchEntry, Workflow
from agentapp.models.workflow import labelled
from agentapp.policies import search
from agentapp.policies.permissions import PAYLOADS
from agentapp.services.principals import Principal

CONFIG = "pg_catalog.simple"


def matching(
    principal: Principal,
    rows: QuerySet[Workflow],
    *,
    state: Sequence[str] = (),
    kind: Sequence[str] = (),
    label: Mapping[str, str] | None = None,
    created_after: datetime | None = None,
    created_before: datetime | None = None,
    updated_after: datetime | None = None,
    q: str = "",
) -> QuerySet[Workflow]:
    """Return the tasks that fit every filter that is not empty: one of the states, one of the kinds, all of the labels,
    and `q` as `saying` reads it. `rows` are tasks that the principal may see."""
    exact: dict[str, Any] = {
        "state__in": state,
        "kind__in": kind,
        "created_at__gte": created_after,
        "created_at__lt": created_before,
        "updated_at__gte": updated_after,
    }
    rows = rows.filter(**{name: value for name, value in exact.items() if value})
    if label:
        rows = rows.filter(labelled(label))
    return saying(principal, rows, q) if q else rows


def saying(principal: Principal, rows: QuerySet[Workflow], text: str) -> QuerySet[Workflow]:
    """Return the tasks with these words in input, result, errors or labels, or whose id begins like this.

    The words come from an index, which follows the tasks within seconds. A text without a word finds nothing.
    """
    if (ids := search.id_range(text)) is not None:
        known = rows.filter(pk__range=[UUID(digits) for digits in ids])
        if known.exists():
            return known
    expression = search.expression(text)
    # A search would tell a key what masked payloads say; pages for people leave out the tenants in question.
    if not expression or (principal.api_key is not None and PAYLOADS not in principal.scopes):
        return rows.none()
    query: Expression = SearchQuery(expression, config=CONFIG, search_type="raw")
    # Which signs are words is for the locale of the database to say. Where none of these is, the query is empty, and
    # with that of the tenant it would find everything.
    has_words = GreaterThan(Func(query, function="numnode", output_field=IntegerField()), 0)
    if principal.tenant_ids is not None:
        query = CombinedSearchQuery(_of_tenants(principal.tenant_ids), "&&", query, CONFIG, SearchQueryField())
    return rows.filter(has_words, Exists(SearchEntry.objects.filter(workflow=OuterRef("pk"), words=query)))


def _of_tenants(tenant_ids: frozenset[int]) -> Cast:
    """The query for the word that entries have of their tenants: one look into the index finds both."""
    return Cast(Value(" | ".join(f"'tenant/{each}'" for each in sorted(tenant_ids))), SearchQueryField())
