"""What bulk replays and bulk cancellations have in common: a list of what waits, which shrinks, and an end.

Each step is a commit of its own behind the lock of the row, so that a process that dies in between leaves the list as
it was, and of two at once each sees what the other has done.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TypeVar
from uuid import UUID

from django.db import connection

from agentapp.errors import IllegalMove
from agentapp.lifecycle import database, leadership
from agentapp.lifecycle.looks import Look
from agentapp.models import BulkOperation

Row = TypeVar("Row", bound=BulkOperation)

# Two halves, so that it never meets the advisory locks of dispatchers and workers, which have one.
STARTING = (0x6275, 0x6C6B)


def begin(row: Row, *, asked: dict[str, object]) -> Row:
    """Write down that this is to be done; the dispatcher does it. `asked` is the part of its selection that names it.

    Raises:
        IllegalMove: the same is being done already.
    """
    with database.atomic():
        with connection.cursor() as cursor:
            # Two clicks at once: the second one waits here, and then finds the first.
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", STARTING)
        equal = {f"selection__{name}": value for name, value in asked.items()}
        same = type(row)._default_manager.filter(tenant=row.tenant_id, finished_at=None, **equal).first()
        if same is not None:
            raise IllegalMove(f"This is being done already, by the {same._meta.verbose_name} {same.pk}.")
        row.selection = {**asked, **row.selection}
        # By the clock of the database, like the deaths that it is compared with.
        row.created_at = database.moment()
        row.save(force_insert=True)
        leadership.notify()
    row.refresh_from_db()
    return row


@cache
def _look(kind: type[BulkOperation]) -> Look:
    return Look(lambda _: kind._default_manager.filter(finished_at=None).order_by("id"))


def unfinished(kind: type[Row]) -> list[UUID]:
    """Return those that go on, oldest first."""
    if not _look(kind).finds_any():
        return []
    return list(kind._default_manager.filter(finished_at=None).order_by("id").values_list("pk", flat=True))


def goes_on(kind: type[Row], row_id: UUID) -> bool:
    """Whether nobody has ended it."""
    return kind._default_manager.filter(pk=row_id, finished_at=None).exists()


@contextmanager
def locked(kind: type[Row], row_id: UUID) -> Iterator[Row]:
    """The row as it is now, which nobody else changes meanwhile."""
    with database.atomic():
        yield kind._default_manager.select_for_update().get(pk=row_id)


def next_waiting(kind: type[Row], row_id: UUID, count: int, *, but_not: Sequence[UUID | str] = ()) -> list[str]:
    """Return the ids of the next `count` that wait, apart from `but_not`; none of one that has ended."""
    with locked(kind, row_id) as row:
        waiting = [] if row.finished_at else row.waiting
    left_out = set(map(str, but_not))
    return [item for item in waiting if item not in left_out][:count]


def end(kind: type[Row], row_id: UUID, to: str, *, reason: str = "") -> Row:
    """Do no more of it. What is under way goes on by itself.

    Raises:
        IllegalMove: it has ended already.
    """
    with locked(kind, row_id) as row:
        if row.finished_at is not None:
            raise IllegalMove(f"This {row._meta.verbose_name} is {row.state} already.")
        row.state, row.reason, row.finished_at = to, reason, database.now()
        row.save(update_fields=["state", "reason", "finished_at"])
    return row
