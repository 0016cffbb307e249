"""How `pytest -n` spreads the tests over its workers. A pytest plugin (`-p tests.parallel`, in pyproject.toml).

A test file is one piece of work, in the hands of one worker. Tests that use a running stack are pieces of their own:
they are spread over as many workers as STACKS says, each of which keeps one stack for all of them. They come first,
because they take longest and mostly wait; short files fill what is left. Because they wait, `-n auto` is one worker
more than there are processors.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

# Fixtures that start a stack once a session, and how many workers may do so.
STACKS = {"running_floor": 1, "running_deployment": 3}
_NEVER = 3


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """With `-n` and no `--dist`, the one of this file."""
    if config.option.numprocesses and config.option.dist == "no":
        config.option.dist = "loadgroup"


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    return len(os.sched_getaffinity(0)) + 1


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Name the piece of work that each test is part of, where there are workers to share it."""
    if not hasattr(config, "workerinput"):
        return
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_piece(item)))
    items.sort(key=_rank)


def _piece(item: pytest.Item) -> str:
    stack = _stack_of(item)
    return f"{stack}:{item.name}" if stack else item.nodeid.partition("::")[0]


def _stack_of(item: pytest.Item) -> str:
    names = getattr(item, "fixturenames", ())
    return next((stack for stack in STACKS if stack in names), "")


def _rank(item: pytest.Item) -> int:
    """The lower, the earlier."""
    is_slow = item.get_closest_marker("slow") is not None
    return (0 if is_slow else 1) + (0 if _stack_of(item) or is_slow else 1)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling | None:
    return StackScheduling(config, log) if config.getvalue("dist") == "loadgroup" else None


class StackScheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist carries no types
    """Gives a piece of work to the worker that is free, and the pieces of one stack to few."""

    def __init__(self, config: pytest.Config, log: Any = None) -> None:
        super().__init__(config, log)
        self._holders: dict[str, set[WorkerController]] = {stack: set() for stack in STACKS}

    def _split_scope(self, nodeid: str) -> str:
        return nodeid.rpartition("@")[2]

    def _assign_work_unit(self, node: WorkerController) -> None:
        """Move the best piece for this worker to the front, from where it is taken; send it home if there is none."""
        # Of two stacks that this worker may start, the one that fewer run; of one that two run, rather a file.
        piece = min(self.workqueue, key=lambda piece: (self._preference(node, piece), self._held_by(piece)))
        if self._preference(node, piece) == _NEVER:
            node.shutdown()
            return
        if (stack := piece.partition(":")[0]) in STACKS:
            self._holders[stack].add(node)
        self.workqueue.move_to_end(piece, last=False)
        super()._assign_work_unit(node)

    def remove_node(self, node: WorkerController) -> str | None:
        for holders in self._holders.values():
            holders.discard(node)
        crashed: str | None = super().remove_node(node)
        return crashed

    def _held_by(self, piece: str) -> int:
        stack = piece.partition(":")[0]
        return len(self._holders[stack]) if stack in STACKS else 1

    def _preference(self, node: WorkerController, piece: str) -> int:
        """0: of a stack that this worker runs; 1: what anybody may take; 2: of a stack that nobody runs yet."""
        stack = piece.partition(":")[0]
        if stack not in STACKS:
            return 1
        holders = self._holders[stack]
        if node in holders:
            return 0
        has_none = not any(node in others for others in self._holders.values())
        if has_none and len(holders) < STACKS[stack]:
            return 1
        return _NEVER if holders else 2
