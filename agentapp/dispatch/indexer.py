"""The search index follows the tasks: what is new first, then what was there before the index."""

from __future__ import annotations

import time
from uuid import UUID

from agentapp.dispatch.round import current
from agentapp.dispatch.sweep import Sweep
from agentapp.lifecycle import search_index

# The words of so many tasks, all of them as long as can be, take a few seconds.
BATCH = 200
# Tasks from before the index follow in the background: for so long in each round.
OLDER_S = 0.2
CHANGES, OLDER = "changes", "older tasks"

# A look that fails is repeated with its tasks one by one.
LOOKS = Sweep[str]("search index", key=str)
ONE_BY_ONE = Sweep[UUID]("tasks of the search index", key=lambda task: task, workflow=lambda task: task)


def follow() -> int:
    """Index what has changed since the last look, and return how many tasks that were."""
    moved, goes_on = 0, True
    while goes_on:
        looked = LOOKS.each([CHANGES], _changes)
        moved += looked
        goes_on = looked == BATCH and current().goes_on()
    return moved


def go_back() -> int:
    """Index some of the tasks that were there before the index, and return how many."""
    moved, until_s = 0, time.monotonic() + OLDER_S
    while looked := LOOKS.each([OLDER], _older):
        moved += looked
        if looked < BATCH or time.monotonic() > until_s or not current().goes_on():
            break
    return moved


def _changes(look: str) -> int:
    indexed = search_index.changes(limit=BATCH, apart=_has_failed(look))
    ONE_BY_ONE.each(indexed.passed_over, search_index.again)
    return indexed.moved


def _older(look: str) -> int:
    return search_index.older(limit=BATCH, apart=_has_failed(look))


def _has_failed(look: str) -> bool:
    aside = LOOKS.aside.get(look)
    return aside is not None and bool(aside.error)
