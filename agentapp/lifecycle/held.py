"""Which holds keep a task or a document."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import connection

from agentapp.lifecycle import database, texts
from agentapp.models import Document, LegalHold, Workflow
from agentapp.policies.naming import Names

AT_ONCE = 100
# The task itself, and those that run it as a part of themselves; of tenants that have holds.
_LINES = """
WITH RECURSIVE line AS (
  SELECT w.id AS task, w.id, w.parent, w.origin FROM agentapp_workflow w
   WHERE w.id = ANY(%s) AND EXISTS (SELECT 1 FROM agentapp_legalhold h WHERE h.tenant_id = w.tenant_id)
  UNION SELECT line.task, w.id, w.parent, w.origin FROM line
    JOIN agentapp_workflow w ON line.origin = 'child' AND w.id = line.parent)
SELECT task, id FROM line"""
_HOLDS = """
WITH w AS MATERIALIZED (SELECT id, tenant_id, labels FROM agentapp_workflow WHERE id = ANY(%s))
SELECT w.id, h.id FROM w JOIN agentapp_legalhold h ON h.workflow_id = w.id
UNION ALL SELECT w.id, h.id FROM w JOIN agentapp_legalhold h ON h.tenant_id = w.tenant_id
 WHERE h.workflow_id IS NULL AND h.customer = '' AND h.label_name = ''
UNION ALL SELECT w.id, h.id FROM w CROSS JOIN LATERAL jsonb_each_text(w.labels) l
  JOIN agentapp_legalhold h ON h.tenant_id = w.tenant_id AND h.label_name = l.key AND h.label_value = l.value
 WHERE h.label_name <> ''"""


def tasks(asked: Collection[UUID], *, most: int = 1) -> dict[UUID, set[int]]:
    """Holds that keep these tasks, by task; without those that none keeps. Of a task that many customers' holds keep,
    `most` of these suffice. How many customers have holds hardly affects the time."""
    found: dict[UUID, set[int]] = {}
    for some in _batches(list(asked)):
        lines = _rows(_LINES, some)
        by_task: defaultdict[UUID, set[int]] = defaultdict(set)
        members = list({member for _, member in lines})
        for member, hold in _rows(_HOLDS, members) if members else ():
            by_task[member].add(hold)
        for member, hold in _tasks_naming([each for each in members if len(by_task[each]) < most], most=most):
            by_task[member].add(hold)
        for task, member in lines:
            if by_task[member]:
                found.setdefault(task, set()).update(by_task[member])
    return found


def documents(asked: Collection[Document]) -> set[int]:
    """For each of these documents that names a customer with a hold, one such hold."""
    by_tenant: defaultdict[int, list[UUID]] = defaultdict(list)
    for document in asked:
        by_tenant[document.tenant_id].append(document.pk)
    return {hold for _, hold in _customers(texts.OF_DOCUMENT, by_tenant, most=1)}


def _tasks_naming(asked: Collection[UUID], *, most: int) -> Iterator[tuple[UUID, int]]:
    """Tasks, each with a hold on a customer whom a row names that goes with it."""
    owners = LegalHold.objects.exclude(customer="").values("tenant")
    by_tenant: defaultdict[int, list[UUID]] = defaultdict(list)
    for task, tenant_id in Workflow.objects.filter(pk__in=asked, tenant__in=owners).values_list("pk", "tenant_id"):
        by_tenant[tenant_id].append(task)
    return _customers(texts.OF_TASK, by_tenant, most=most)


def _customers(
    tables: texts.Tables, by_tenant: Mapping[int, Collection[UUID]], *, most: int
) -> Iterator[tuple[UUID, int]]:
    for tenant_id, owners in by_tenant.items():
        holds = LegalHold.objects.filter(tenant=tenant_id).exclude(customer="").order_by("pk")
        # One customer has one hold in a tenant.
        numbers = dict(holds.values_list("customer", "pk"))
        if not numbers:
            continue
        names = _names(tuple(numbers))
        found: defaultdict[UUID, set[str]] = defaultdict(set)
        for model, path in tables.items():
            left = [owner for owner in owners if len(found[owner]) < most]
            for owner, row in texts.of({model: path}, left):
                # Of one that is kept anyway nothing more is read.
                if len(found[owner]) < most:
                    found[owner] |= names.found_in(row, most=most)
        yield from ((owner, numbers[name]) for owner, named in found.items() for name in named)


@functools.lru_cache(maxsize=4)
def _names(customers: tuple[str, ...]) -> Names:
    return Names(customers)


def _batches(asked: Sequence[UUID]) -> Iterator[Sequence[UUID]]:
    return (asked[begin : begin + AT_ONCE] for begin in range(0, len(asked), AT_ONCE))


def _rows(statement: str, tasks: Collection[UUID]) -> list[tuple[Any, Any]]:
    with database.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, [list(tasks)])
        return list(cursor.fetchall())
