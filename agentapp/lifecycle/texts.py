"""The texts of rows: all in which somebody may be named."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db.models import CharField, F, Func, JSONField, Model, Q, QuerySet, TextField
from django.db.models.functions import Cast

from agentapp import models

# Tables with the path to whom their rows belong.
Tables = Mapping[type[Model], str]

# What goes with a task when it is deleted.
OF_TASK: Tables = {
    models.Workflow: "pk", models.Stage: "workflow_id", models.Job: "workflow_id", models.Attempt: "job__workflow_id",
    models.Approval: "workflow_id", models.ApprovalVote: "approval__workflow_id", models.History: "workflow_id",
    models.Message: "workflow_id", models.Reply: "workflow_id", models.ModelCall: "workflow_id",
    models.Artifact: "workflow_id",
}  # fmt: skip
OF_DOCUMENT: Tables = {models.Document: "pk", models.Chunk: "document_id"}


class _Decomposed(Func):
    """A text as `naming.decomposed` gives it. Most are ASCII, which needs none of it."""

    template = (
        "CASE WHEN octet_length(%(expressions)s) = length(%(expressions)s) THEN %(expressions)s "
        "ELSE normalize(%(expressions)s, NFD) END"
    )
    output_field = TextField()


def rows_matching(model: type[Model], pattern: str) -> QuerySet[Any]:
    """The rows of a table in one of whose texts, `decomposed`, the pattern is found."""
    rows, names = _as_text(model)
    found = Q()
    for name in names:
        rows = rows.alias(**{f"{name}_decomposed": _Decomposed(F(name))})
        found |= Q(**{f"{name}_decomposed__regex": pattern})
    return rows.filter(found) if found else rows.none()


def of(tables: Tables, owners: Collection[UUID]) -> Iterator[tuple[UUID, list[str]]]:
    """The texts of the rows of these tables that belong to one of the owners, by these paths."""
    for model, path in tables.items():
        rows, names = _as_text(model)
        for owner, *found in rows.filter(**{f"{path}__in": owners}).values_list(path, *names).iterator():
            yield owner, [text for text in found if text]


def _as_text(model: type[Model]) -> tuple[QuerySet[Any], list[str]]:
    """The rows of a table, and under which names each of its texts and of its JSON is found in them as text."""
    rows, names = model._default_manager.all(), []
    for column in model._meta.concrete_fields:
        if isinstance(column, JSONField | ArrayField):
            names.append(f"{column.name}_as_text")
            rows = rows.annotate(**{names[-1]: Cast(F(column.name), TextField())})
        elif isinstance(column, CharField | TextField):
            names.append(column.name)
    return rows, names
