"""Questions as full-text queries: any word may match, and rare words count for more."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce
from operator import add, or_
from typing import Any, TypeVar
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.search import SearchQuery, SearchRank, SearchVector
from django.db.models import Case, Count, F, FloatField, Func, Model, Q, QuerySet, TextField, Value, When

CONFIG = "english"
# A long mail would make a query of hundreds of words; what it is about is said in the first ones.
MOST_WORDS = 48
# A question is not expected to share more words with its answer than this many of its rarest.
EXPECTED_WORDS = 6
# Rows are compared by the rarest words only: the common ones of a long question match nearly every row.
RANKED_WORDS = 16
# Divide a rank by 1 + log(length): a long text has more words by chance.
BY_LENGTH = 1

Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True)
class Hit:
    """A row and its share of the question's words by weight; a long question can make it more than 1."""

    id: UUID
    share: float


def queries(rows: QuerySet[Row], text: str) -> list[SearchQuery]:
    """Return one query for each word of a text that means something; join them by OR to match any.

    websearch_to_tsquery joins words by AND: a question in whole sentences would find nothing. Postgres itself takes
    the text apart (by a query on one of `rows`), as it did the texts that are searched: `E-4077` is one word of both.
    """
    start = " ".join(text.replace("\0", " ").split()[:MOST_WORDS])
    vector = SearchVector(Value(start), config=CONFIG)
    stems = Func(vector, function="tsvector_to_array", output_field=ArrayField(TextField()))
    found = rows.order_by().values_list(stems, flat=True)[:1]
    return [SearchQuery(stem, config="simple") for stem in next(iter(found), [])]


def rank(
    rows: QuerySet[Row], text: str, *, limit: int, last: tuple[str, ...] = ("document_id", "position")
) -> list[Hit]:
    """Return the rows whose `search` vector has words of the text, best first: those with the most and rarest words.
    Of equal ones `last` decides.

    Postgres ranks a word the same whether one row has it or all; here a word weighs log(1 + rows / rows with it).
    A word that no row has weighs most, and nobody finds it: so the share stays small where a question has only its
    small talk in common with the rows.
    """
    words = queries(rows, text)
    if not words:
        return []
    total, counts = _counts(rows, words)
    weights = [math.log(1 + total / (count or 0.5)) for count in counts]
    expected = min(sum(weights), EXPECTED_WORDS * max(weights))
    known = [(weight, word) for weight, word, count in zip(weights, words, counts, strict=True) if count]
    rarest = sorted(known, key=lambda weighed: -weighed[0])[:RANKED_WORDS]
    if not rarest:
        return []
    share = reduce(add, [_when(word, weight / expected) for weight, word in rarest])
    any_of_them = reduce(or_, [word for _, word in rarest])
    cover = SearchRank(F("search"), any_of_them, normalization=BY_LENGTH, cover_density=True)
    found = rows.filter(search=any_of_them).annotate(share=share).order_by("-share", cover.desc(), *last)
    return [Hit(*row) for row in found.values_list("pk", "share")[:limit]]


def _when(query: SearchQuery, weight: float) -> Any:
    """An expression: the weight of the rows that have the word, 0 of the others."""
    return Case(When(search=query, then=Value(weight)), default=Value(0.0), output_field=FloatField())


def _counts(rows: QuerySet[Row], words: list[SearchQuery]) -> tuple[int, list[int]]:
    """Count the rows, and for each word those that have it, in one pass."""
    counts = {f"word_{number}": Count("pk", filter=Q(search=word)) for number, word in enumerate(words)}
    counted = rows.aggregate(all_rows=Count("pk"), **counts)
    return counted["all_rows"], [counted[name] for name in counts]
