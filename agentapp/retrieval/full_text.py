"""Questions as full-text queries: any word may match, and rare words count for more."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add, or_
from typing import Any, TypeVar
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.search import CombinedSearchQuery, SearchQuery, SearchRank, SearchVector
from django.db.models import Case, Count, F, FloatField, Func, Model, Q, QuerySet, TextField, Value, When

CONFIG = "english"
# A long mail would make a query of hundreds of words; what it is about is said in the first ones.
MOST_WORDS = 64
# A question is not expected to share more words with its answer than this many of its rarest.
EXPECTED_WORDS = 6
# Divide a rank by 1 + log(length): a long text has more words by chance.
BY_LENGTH = 1

_WORD = re.compile(r"\w+")

Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True)
class Hit:
    """A row and its share of the question's words by weight; a long question can make it more than 1."""

    id: UUID
    share: float


def any_word(text: str) -> SearchQuery | CombinedSearchQuery | None:
    """Return a query that matches a text with any of these words, or None where there is no word.

    websearch_to_tsquery joins words by AND: a question in whole sentences would find nothing. Stop words fall out in
    Postgres, and the words are parameters: no character of a question is syntax.
    """
    words = [SearchQuery(word, config=CONFIG) for word in _words(text)]
    return reduce(or_, words) if words else None


def rank(rows: QuerySet[Row], text: str, *, limit: int) -> list[Hit]:
    """Return the rows whose `search` vector has words of the text, best first: those with the most and rarest words.

    Postgres ranks a word the same whether one row has it or all; here a word weighs log(1 + rows / rows with it).
    A word that no row has weighs most, and nobody finds it: so the share stays small where a question has only its
    small talk in common with the rows.
    """
    words = _lexemes(rows, text)
    if not words:
        return []
    queries = {word: SearchQuery(word, config="simple") for word in words}
    weights = _weights(rows, queries)
    expected = min(sum(weights.values()), EXPECTED_WORDS * max(weights.values()))
    share = reduce(add, [_when(queries[word], weight / expected) for word, weight in weights.items()])
    any_of_them = reduce(or_, queries.values())
    cover = SearchRank(F("search"), any_of_them, normalization=BY_LENGTH, cover_density=True)
    found = rows.filter(search=any_of_them).annotate(share=share).order_by("-share", cover.desc(), "pk")
    return [Hit(*row) for row in found.values_list("pk", "share")[:limit]]


def _when(query: SearchQuery, weight: float) -> Any:
    """An expression: the weight of the rows that have the word, 0 of the others."""
    return Case(When(search=query, then=Value(weight)), default=Value(0.0), output_field=FloatField())


def _words(text: str) -> list[str]:
    return list(dict.fromkeys(_WORD.findall(text.lower())))[:MOST_WORDS]


def _lexemes(rows: QuerySet[Row], text: str) -> list[str]:
    """Return the stems of the words that mean something, as Postgres sees them."""
    vector = SearchVector(Value(" ".join(_words(text))), config=CONFIG)
    stems = Func(vector, function="tsvector_to_array", output_field=ArrayField(TextField()))
    return next(iter(rows.order_by().values_list(stems, flat=True)[:1]), [])


def _weights(rows: QuerySet[Row], queries: Mapping[str, SearchQuery]) -> dict[str, float]:
    counts = {f"with_{number}": Count("pk", filter=Q(search=query)) for number, query in enumerate(queries.values())}
    counted = rows.aggregate(all_rows=Count("pk"), **counts)
    return {
        word: math.log(1 + counted["all_rows"] / (counted[f"with_{number}"] or 0.5))
        for number, word in enumerate(queries)
    }
