"""The search index follows the tasks: what has changed since the last look, then what was there before it.

Each function is one commit, which moves the cursor with the entries: a process that dies in between has done nothing.
Of two at once, one does nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from agentapp.lifecycle import database


@dataclass(frozen=True)
class Indexed:
    """How many tasks were looked at, and those that still have to be indexed one by one."""

    moved: int
    passed_over: Sequence[UUID] = ()


def changes(*, limit: int, apart: bool = False) -> Indexed:
    """Index up to `limit` tasks whose words may have changed. `apart`: only pass them over, because one of them cannot
    be indexed. Raises like `database.call`, as all of these do."""
    answer = database.call("index_changes", limit=limit, apart=apart)
    return Indexed(answer["moved"], [UUID(task) for task in answer.get("passed_over") or ()])


def again(task: UUID) -> int:
    """Index one that was passed over, and return how many that are."""
    return int(database.call("index_again", task=task)["moved"])


def older(*, limit: int, apart: bool = False) -> int:
    """Index the next `limit` tasks from before the index, the newest first, and return how many there were."""
    return int(database.call("index_older", limit=limit, apart=apart)["moved"])
