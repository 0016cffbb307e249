"""A worker's process with eight threads, for tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agentapp.local.stack import CHECKOUT
from tests.acceptance.deployment import until

EXIT_S = 120
SLOTS = 8
WORKER = [
    sys.executable, "-m", "config.worker", "-P", "threads", "-c", str(SLOTS), "-Q", "model",
    "--without-gossip", "--without-mingle", "--loglevel", "INFO",
]  # fmt: skip


class Worker:
    def __init__(self, env: dict[str, str], *, log: Path, more: tuple[str, ...] = ()) -> None:
        self._log = log
        self.name = f"w{os.getpid()}@test"
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [*WORKER, "-n", self.name, *more], env=env, cwd=CHECKOUT, stdout=file, stderr=subprocess.STDOUT
            )

    def says(self, words: str) -> bool:
        return words in self.log()

    def log(self) -> str:
        """What it has written so far; it must be alive."""
        assert self.process.poll() is None, self._log.read_text()
        return self._log.read_text()

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(EXIT_S)


@contextmanager
def running_worker(env: dict[str, str], *, log: Path, more: tuple[str, ...] = ()) -> Iterator[Worker]:
    """A worker that is ready, with the tests' job types; its process ends with the block."""
    worker = Worker(env | {"AGENTAPP_EXTENSIONS": "tests.agents"}, log=log, more=more)
    try:
        until(lambda: worker.says("ready."), "the worker is ready")
        yield worker
    finally:
        worker.end()
