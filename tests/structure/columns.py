"""The release before a migration does not write the columns that it adds, so an insert need not name them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from django.db import models
from django.db.migrations import Migration, RunSQL, SeparateDatabaseAndState
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState
from django.db.models.fields import NOT_PROVIDED

from tests.structure.source import Violation

RULE = "columns"
SENTENCE = "The release before this one inserts rows without it. Let it be null, or give it a db_default."
# Postgres fills them in by itself.
FILLED = (models.AutoField, models.BigAutoField, models.SmallAutoField, models.GeneratedField)
ADDED = re.compile(r"\bADD\s+COLUMN\b[^,;]*", re.IGNORECASE)
NEEDED = re.compile(r"\bNOT\s+NULL\b", re.IGNORECASE)
DEFAULT = re.compile(r"\b(?:DEFAULT|GENERATED)\b", re.IGNORECASE)
SET_NEEDED = re.compile(r"\bSET\s+NOT\s+NULL\b", re.IGNORECASE)


def check(history: Iterable[Migration]) -> Iterator[Violation]:
    """Report columns that an insert must name, in tables that were there before the migration. In the order of history.

    Whatever led to one counts: a field that was added, renamed, or is null no longer, and one that lost its default.
    """
    state = ProjectState()
    for migration in history:
        path = f"{migration.app_label}/migrations/{migration.name}.py"
        tables, needed = _tables(state), set(_needed(state))
        state = migration.mutate_state(state, preserve=True)
        for table, column in sorted(set(_needed(state)) - needed):
            if table in tables:
                yield Violation(RULE, path, 1, f"{table}.{column}: {SENTENCE}")
        for text in _sql(migration.operations):
            for found in _needed_by_sql(text):
                yield Violation(RULE, path, 1, f"{found!r}: {SENTENCE}")


def _tables(state: ProjectState) -> set[str]:
    return {f"{app}_{name}" for app, name in state.models}


def _needed(state: ProjectState) -> Iterator[tuple[str, str]]:
    """The columns without which a row cannot be inserted."""
    for (app, model), found in state.models.items():
        for name, field in found.fields.items():
            is_filled = field.null or field.many_to_many or isinstance(field, FILLED)
            if not is_filled and field.db_default is NOT_PROVIDED:
                yield f"{app}_{model}", field.db_column or name


def _sql(operations: Iterable[Operation]) -> Iterator[str]:
    for operation in operations:
        if isinstance(operation, SeparateDatabaseAndState):
            yield from _sql(operation.database_operations)
        elif isinstance(operation, RunSQL):
            parts = operation.sql if isinstance(operation.sql, list | tuple) else [operation.sql]
            yield from (part if isinstance(part, str) else part[0] for part in parts)


def _needed_by_sql(text: str) -> Iterator[str]:
    text = re.sub(r"--[^\n]*", "", text)
    for added in ADDED.findall(text):
        if NEEDED.search(added) and not DEFAULT.search(added):
            yield " ".join(added.split())
    yield from SET_NEEDED.findall(text)
