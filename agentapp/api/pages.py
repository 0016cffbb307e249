"""Lists in pages: `{results, next}`. A cursor names the last row seen, so that new rows shift nothing."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any, TypeVar
from uuid import UUID

from django.db.models import Model, Q, QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from agentapp.api.problems import Problem
from agentapp.api.query import Page

Row = TypeVar("Row", bound=Model)

# What may change from page to page.
NO_FILTERS = ("cursor", "limit", "total")
MARK_DIGITS = 16
MOST_COUNTED = 10_000
Shape = dict[str, Any]


@dataclass(frozen=True)
class Key:
    """One column of an order, as the ORM writes it; `parse` reads its text back from a cursor."""

    path: str
    parse: Callable[[str], Any]
    descending: bool = False


Order = tuple[Key, ...]


def _text(text: str) -> str:
    if "\x00" in text:
        raise ValueError("Postgres keeps no NUL.")
    return text


# Ids sort by time of birth.
NEWEST_FIRST: Order = (Key("id", UUID, descending=True),)
OLDEST_FIRST: Order = (Key("id", UUID),)
LAST_FINISHED_FIRST: Order = (
    Key("finished_at", datetime.fromisoformat, descending=True),
    Key("id", UUID, descending=True),
)
# By the clock behind the lock of their task: an id is older than the wait for it, and a copy's tells nothing.
AS_SAID: Order = (Key("created_at", datetime.fromisoformat), Key("number", int), Key("id", UUID))
# The jobs of a task, as its plan has them.
PLAN: Order = (Key("stage__position", int), Key("part", int), Key("id", UUID))
BY_KEY: Order = (Key("key", _text),)
BY_SCOPE_OLDEST_FIRST: Order = (Key("scope", _text), Key("id", int))
FIRST_WRITTEN_FIRST: Order = (Key("id", int),)
LAST_WRITTEN_FIRST: Order = (Key("id", int, descending=True),)


def page(
    request: Request,
    rows: QuerySet[Row],
    page: Page,
    *,
    shapes: Callable[[list[Row]], Sequence[Mapping[str, object]]],
    order: Order = NEWEST_FIRST,
) -> Response:
    """Answer with one page of `rows`; `shapes` turns its rows into objects, `next` is the path and query of
    the page after it, or null. A client that wants one gets the `total` of all pages.

    Raises:
        Problem: 400, the cursor is none of ours.
    """
    counted = total(rows) if page.total else {}
    if page.cursor:
        rows = rows.filter(_after(order, _read(order, page.cursor, of=_list(request))))
    rows = rows.order_by(*("-" * key.descending + key.path for key in order))
    # One more than asked for tells whether there is a next page.
    found = list(rows[: page.limit + 1])
    shown = found[: page.limit]
    following = _next(request, _cursor(order, shown[-1], of=_list(request))) if len(found) > page.limit else None
    return Response({"results": shapes(shown), "next": following} | counted)


def total(rows: QuerySet[Row]) -> Shape:
    """Count no further than a list can be counted at once, whatever its length."""
    found = rows.order_by()[: MOST_COUNTED + 1].count()
    return {"total": min(found, MOST_COUNTED), "total_is": "exact" if found <= MOST_COUNTED else "at least"}


def _after(order: Order, values: list[Any]) -> Q:
    """Build "row comes after these values" column by column: (a > x) or (a = x and b > y) or ..."""
    condition, equal = Q(), Q()
    for key, value in zip(order, values, strict=True):
        side = "lt" if key.descending else "gt"
        condition |= equal & Q((f"{key.path}__{side}", value))
        equal &= Q((key.path, value))
    return condition


def _list(request: Request) -> str:
    """Return a mark of the list that is asked for: its address and its filters. Not of the key: another tenant's list
    holds nothing of this one's, whatever a cursor says."""
    filters = sorted((name, *sorted(values)) for name, values in request.query_params.lists() if name not in NO_FILTERS)
    named = repr((request.path_info.strip("/"), filters))
    return hashlib.sha256(named.encode("utf-8", "surrogatepass")).hexdigest()[:MARK_DIGITS]


def _cursor(order: Order, row: Model, *, of: str) -> str:
    values = (attrgetter(key.path.replace("__", "."))(row) for key in order)
    return base64.urlsafe_b64encode("|".join([of, *map(str, values)]).encode()).decode().rstrip("=")


def _read(order: Order, cursor: str, *, of: str) -> list[Any]:
    try:
        whole = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        # What stands last may hold the sign itself, as the name of a model may.
        mark, *texts = whole.split("|", len(order))
        values = [key.parse(text) for key, text in zip(order, texts, strict=True)]
    except (ValueError, binascii.Error) as error:
        raise _no_cursor("This is not a cursor of this list.") from error
    if mark != of:
        raise _no_cursor("This is the cursor of another list, or of this one with other filters.")
    return values


def _no_cursor(why: str) -> Problem:
    sentence = f"{why} Follow `next` of the page before, or leave it out."
    return Problem("bad-query", f"cursor: {sentence}", errors=[{"field": "cursor", "message": sentence}])


def _next(request: Request, cursor: str) -> str:
    query = request.query_params.copy()
    query["cursor"] = cursor
    # Who has asked for it has it.
    query.pop("total", None)
    return f"{request.path}?{query.urlencode()}"
