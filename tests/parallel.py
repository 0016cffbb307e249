"""How `pytest -n` spreads the tests over its workers. A pytest plugin (`-p tests.parallel`, in pyproject.toml).

A test file is one piece of work, in the hands of one worker. Tests that use a running stack are pieces of their own:
they are spread over as many workers as STACKS says, each of which keeps one stack for all of them. They come first,
because they take longest and mostly wait; short files fill what is left. Because they wait, `-n auto` is more workers
than there are processors. A stack ends when no test is left for it: one that waits costs a tenth of a processor.
"""

from __future__ import annotations

import gc
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

from tests import tiers
from tests.structure import source

# Fixtures that start a stack once a session, and how many workers may do so.
STACKS = {"running_floor": 1, "running_deployment": 2}
# Further pieces of a stack that are worth another start of it.
PIECES_OF_A_STACK = 10
# Modules of minutes, which come before all others: the last worker would be alone with them.
LONGEST = ("tests/acceptance/test_documentation.py", "tests/api/test_generated_requests.py")
# The files of tests that parse every file of the checkout: the worker that has one has done it for all.
OF_THE_SOURCE = "source"
_NEVER = 3
MORE, MORE_OF_FEW = 2, 1
_FOLDER = pytest.StashKey[tempfile.TemporaryDirectory[str]]()
# What each stack that runs in this process has opened.
_RUNNING: dict[str, ExitStack] = {}


@pytest.hookimpl(tryfirst=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    # First, or xdist answers with the number of processors; its variable says how many somebody wants.
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    # A worker costs seconds to start and to collect. Without the thorough tests few wait.
    return len(os.sched_getaffinity(0)) + (MORE_OF_FEW if config.option.markexpr == tiers.WITHOUT else MORE)


# Modules and tests that are collected are no garbage: it is looked for once they are there, and never in them.
# This plugin is loaded before Django.
gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_configure_node(node: WorkerController) -> None:
    """Tell a worker where to write which piece of work each test is part of: only workers collect tests."""
    node.workerinput["pieces"] = str(_pieces_file(node.config))


def _pieces_file(config: pytest.Config) -> Path:
    if (folder := config.stash.get(_FOLDER, None)) is None:
        folder = config.stash[_FOLDER] = tempfile.TemporaryDirectory(prefix="agentapp-pieces-")
    return Path(folder.name) / "pieces.json"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Name the piece of work that each test is part of, where there are workers to share it."""
    if (given := getattr(config, "workerinput", None)) is None:
        return
    items.sort(key=_rank)
    file = Path(given["pieces"])
    # All workers write the same; who reads it sees all of it.
    own = file.with_suffix(f".{given['workerid']}")
    own.write_text(json.dumps({item.nodeid: _piece(item) for item in items}))
    own.replace(file)


@contextmanager
def kept(stack: str) -> Iterator[ExitStack]:
    """What a fixture opens for a stack: it is closed with the session, or when no test is left for it."""
    with ExitStack() as opened:
        _RUNNING[stack] = opened
        try:
            yield opened
        finally:
            del _RUNNING[stack]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Close what nobody needs any more. A worker takes no other piece while one of its stack is left."""
    if (given := getattr(item.config, "workerinput", None)) is not None and not _stack_of(item):
        for stack, opened in _RUNNING.items():
            if _over_file(Path(given["pieces"]), stack).exists():
                opened.close()


def _over_file(pieces: Path, stack: str) -> Path:
    """The scheduler makes it when all pieces of a stack are given to workers."""
    return pieces.with_suffix(f".{stack}_is_over")


def _piece(item: pytest.Item) -> str:
    if stack := _stack_of(item):
        return f"{stack}:{item.name}"
    if getattr(getattr(item, "module", None), "modules", None) is source.modules:
        return OF_THE_SOURCE
    return item.nodeid.partition("::")[0]


def _stack_of(item: pytest.Item) -> str:
    names = getattr(item, "fixturenames", ())
    return next((stack for stack in STACKS if stack in names), "")


def _rank(item: pytest.Item) -> int:
    """The lower, the earlier."""
    if item.nodeid.startswith(LONGEST):
        return 0
    return 1 if _stack_of(item) else 2 if tiers.is_thorough(item.nodeid) else 3


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling | None:
    return StackScheduling(config, log) if config.getvalue("dist") == "loadscope" else None


class StackScheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist carries no types
    """Gives a piece of work to the worker that is free, and the pieces of one stack to few: to one if they are few."""

    def __init__(self, config: pytest.Config, log: Any = None) -> None:
        super().__init__(config, log)
        self._holders: dict[str, set[WorkerController]] = {stack: set() for stack in STACKS}

    @cached_property
    def _pieces(self) -> dict[str, str]:
        """By test, once the workers have collected them."""
        pieces: dict[str, str] = json.loads(_pieces_file(self.config).read_text())
        return pieces

    def _split_scope(self, nodeid: str) -> str:
        return self._pieces[nodeid]

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
        left = {piece.partition(":")[0] for piece in self.workqueue}
        for stack in STACKS.keys() - left:
            _over_file(_pieces_file(self.config), stack).touch()

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
        left = sum(other.startswith(f"{stack}:") for other in self.workqueue)
        if has_none and len(holders) < STACKS[stack] and (not holders or left >= PIECES_OF_A_STACK):
            return 1
        return _NEVER if holders else 2
