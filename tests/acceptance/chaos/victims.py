"""Whom a test may kill, and when: after so many bodies have begun, so that a busy machine is killed as often."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress

import psutil

from tests.acceptance.deployment import Deployment, is_running, until
from tests.acceptance.load import Load

WORKERS = ("worker_model", "worker_documents", "worker_send")
# A pool child is found where the pool is. Twice as often as all workers together: it is back at once, and a worker
# that starts again takes seconds of a small machine.
CHILD = "child"
CHOICES = (*WORKERS, *[CHILD] * 2 * len(WORKERS))
# Kills begin when the first bodies run and end before the last do.
FIRST, LAST = 0.03, 0.8


def moments(load: Load, dice: random.Random, *, times: int, is_over: Callable[[], object] = bool) -> Iterator[int]:
    """Wait for as many moments of a load as it says, spread by the dice, and count them from 1. Once it `is_over` no
    further body may begin: there are no more.
    """
    at = sorted(dice.uniform(FIRST, LAST) * load.bodies for _ in range(times))
    for number, bodies in enumerate(at, start=1):
        # However slow the machine is: as long as bodies begin, there is something to wait for.
        while (run := load.bodies_run()) < bodies:
            if is_over():
                return
            until(lambda run=run: is_over() or load.bodies_run() > run, f"a body begins after the first {run}")  # type: ignore[misc]
        yield number


def kill_one(deployment: Deployment, dice: random.Random) -> str:
    """kill -9 a worker or a pool child that lives, wherever it is; return its name."""
    found: list[tuple[str, psutil.Process]] = []
    name = dice.choice(CHOICES)

    def there_is_one() -> bool:
        found[:] = [(name, process) for process in _processes(deployment, name)]
        return bool(found)

    until(there_is_one, f"a living {name}")
    dice.shuffle(found)
    os.kill(found[0][1].pid, signal.SIGKILL)
    return name


def _processes(deployment: Deployment, name: str) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        if name != CHILD:
            worker = psutil.Process(deployment.pid(name))
            return [worker] if is_running(worker) else []
        parent = psutil.Process(deployment.pid("worker_documents"))
        return [child for child in parent.children() if is_running(child)]
    return []
