"""Whether there is anything to do, asked cheaply: most looks of a dispatcher find nothing.

Django builds the SQL of a query anew each time, which takes longer than Postgres takes to answer it. A look builds it
once for the whole process, and only where it finds something are the rows read in the usual way.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cached_property
from typing import Any

from django.db.models import QuerySet
from django.db.models.functions import Now

from agentapp import clock
from agentapp.lifecycle import database


class Look:
    """`rows` returns the query for a moment; nothing else about it may change from one call to the next.

    It is in the order of an index: without one, Postgres may read a whole table to find that there is no such row.
    """

    def __init__(self, rows: Callable[[datetime | Now], QuerySet[Any, Any]]) -> None:
        self._rows = rows

    def finds_any(self) -> bool:
        """Tell whether there is such a row now. One round trip; raises like `database.statement`."""
        stopped = clock.fixed()
        text, parameters = self._present if stopped is None else self._at(stopped)
        return bool(database.statement(text, list(parameters)))

    @cached_property
    def _present(self) -> tuple[str, tuple[Any, ...]]:
        return self._at(Now())

    def _at(self, moment: datetime | Now) -> tuple[str, tuple[Any, ...]]:
        text, parameters = self._rows(moment).values_list("pk")[:1].query.sql_with_params()
        return f"SELECT EXISTS ({text})", parameters
