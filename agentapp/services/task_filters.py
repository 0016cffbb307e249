"""Which tasks are meant: the filters of the list of tasks and of cancelling many."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db.models import Func, JSONField, Q, QuerySet, TextField
from django.db.models.functions import Cast

from agentapp.models import Workflow


def matching(
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
    and `q` as a text in input or result."""
    exact: dict[str, Any] = {
        "state__in": state,
        "kind__in": kind,
        "labels__contains": label,
        "created_at__gte": created_after,
        "created_at__lt": created_before,
        "updated_at__gte": updated_after,
    }
    rows = rows.filter(**{name: value for name, value in exact.items() if value})
    return _saying(rows, q) if q else rows


def _saying(rows: QuerySet[Workflow], text: str) -> QuerySet[Workflow]:
    # jsonb shows a quote, a backslash or a line break inside a string in its escaped form.
    escaped = json.dumps(text, ensure_ascii=False)[1:-1]
    strings = {name: Cast(_Strings(name), TextField()) for name in ("input", "result")}
    return rows.alias(input_text=strings["input"], result_text=strings["result"]).filter(
        Q(input_text__icontains=escaped) | Q(result_text__icontains=escaped)
    )


class _Strings(Func):
    """All strings inside a JSON value, without the names of its fields: `body` is not found in every task."""

    function = "jsonb_path_query_array"
    template = """%(function)s(%(expressions)s, 'strict $.** ? (@.type() == "string")')"""
    output_field = JSONField()
