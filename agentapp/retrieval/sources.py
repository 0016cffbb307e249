"""Where passages come from: a registry that a team may add its own sources to. [C4]"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, cast

from agentapp.errors import InvalidPlan
from agentapp.retrieval import passages, replies, search
from agentapp.retrieval.embedding import Embed
from agentapp.retrieval.passages import Found


class Search(Protocol):
    """What a source does. It must look at this tenant's texts alone; `embed` is there for sources that need it."""

    def __call__(self, tenant_id: int, query: str, *, limit: int, embed: Embed) -> Found: ...


class SearchOfCollections(Protocol):
    """What a source does whose texts are kept apart by names."""

    def __call__(self, tenant_id: int, query: str, *, limit: int, embed: Embed, collection: str = "") -> Found: ...


@dataclass(frozen=True)
class Source:
    """`description` tells the model when to ask it; a source with `always` is asked for every ticket. The search of one
    that `has_collections` also takes `collection`, the name of the only one to be searched. A report gives up a search
    after `timeout_s`; None: it has limits of its own, as those in Postgres have."""

    name: str
    description: str
    search: Search
    always: bool = False
    has_collections: bool = False
    timeout_s: float | None = 20.0

    def find(self, tenant_id: int, query: str, *, limit: int, embed: Embed, collection: str) -> Found:
        """Search it; a source without collections is searched as a whole. What it answers is brought into bounds.

        Raises:
            PermanentError: it has answered something else than passages.
        """
        if self.has_collections:
            by_name = cast("SearchOfCollections", self.search)
            found = by_name(tenant_id, query, limit=limit, embed=embed, collection=collection)
        else:
            found = self.search(tenant_id, query, limit=limit, embed=embed)
        return passages.kept(found, limit=limit)


_sources: dict[str, Source] = {}


def add(source: Source) -> None:
    """Register a source under its name.

    Raises:
        InvalidPlan: another source has the name.
    """
    known = _sources.get(source.name)
    if known is not None and known != source:
        raise InvalidPlan(f"The source {source.name} exists twice. Rename one of them.")
    _sources[source.name] = source


def by_name(name: str) -> Source:
    """Raises InvalidPlan for a name that nobody has registered."""
    try:
        return _sources[name]
    except KeyError:
        raise InvalidPlan(f"There is no source {name}; registered are {', '.join(_sources)}.") from None


def registered() -> list[Source]:
    """All sources, in the order of their registration."""
    return list(_sources.values())


add(
    Source(
        name="documents",
        description="the knowledge base: documentation, help pages, how things work, prices and rules",
        search=search.search,
        always=True,
        has_collections=True,
        timeout_s=None,
    )
)
add(
    Source(
        name="approved_replies",
        description="replies that were sent before: a question that customers ask again and again",
        search=replies.search,
        timeout_s=None,
    )
)
