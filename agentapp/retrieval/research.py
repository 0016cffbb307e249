"""Which searches a question is answered by, and what came of each source. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pydantic

from agentapp.policies.storable import text
from agentapp.retrieval.coverage import LONGEST_REASON
from agentapp.retrieval.sources import Source

Json = dict[str, Any]

MOST_SEARCHES = 100
LONGEST_QUERY = 500


class PlannedSearch(pydantic.BaseModel):
    """One search of a source; no `collection`: all of it."""

    source: str
    query: str
    collection: str = ""


def queries(question: str, planned: Sequence[str], *, most: int) -> list[str]:
    """Return the question itself and what a model would search for, each once, at most `most`."""
    said = [text(" ".join(query.split()), most=LONGEST_QUERY) for query in (question, *planned)]
    return list(dict.fromkeys(query for query in said if query))[:most]


def searches(asked: Sequence[str], sources: Sequence[Source], collections: Sequence[str]) -> list[PlannedSearch]:
    """Return each query at each source, at most MOST_SEARCHES: the last queries go without where there are too many."""
    places = [
        (source.name, collection)
        for source in sources
        for collection in (collections if source.has_collections and collections else [""])
    ]
    kept = asked[: max(1, MOST_SEARCHES // max(1, len(places)))]
    planned = [PlannedSearch(source=name, query=q, collection=where) for q in kept for name, where in places]
    return planned[:MOST_SEARCHES]


def told(planned: Sequence[PlannedSearch], found: Mapping[int, int], failed: Mapping[int, str]) -> list[Json]:
    """Say of each source and collection how many searches it had, what they found, and why some failed. `found` and
    `failed` are by the place of a search."""
    places: dict[tuple[str, str], Json] = {}
    for place, search in enumerate(planned):
        said = places.setdefault(
            (search.source, search.collection),
            {"source": search.source, "collection": search.collection, "searches": 0, "passages": 0, "failed": 0,
             "reasons": []},
        )  # fmt: skip
        said["searches"] += 1
        said["passages"] += found.get(place, 0)
        if place in failed:
            said["failed"] += 1
            reason = failed[place][:LONGEST_REASON]
            said["reasons"] += [reason] if reason not in said["reasons"] else []
    return list(places.values())
