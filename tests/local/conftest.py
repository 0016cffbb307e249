"""A stack of small stand-in processes: what is tested here is how they are kept, not what agentapp's own do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from agentapp.local.stack import CHECKOUT, LocalStack
from tests import homes

DEADLINE_S = 120.0
COMMANDS = {
    "web": "exec python -m http.server $PORT --bind 127.0.0.1",
    "worker_a": "exec python -c 'import threading; threading.Event().wait()'",
    # A pool: its children must not outlive it.
    "worker_b": 'exec python -c \'import subprocess; subprocess.run(["sleep", "1000"])\'',
}


@pytest.fixture
def home() -> Iterator[Path]:
    """A short path, and not pytest's: a socket lies in it."""
    path = homes.make()
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def make_stack(home: Path) -> Callable[..., LocalStack]:
    """Make a stack of the stand-ins on this test's home; without `own_servers` it uses those of the test run."""

    def make(*, port: int = 0, own_servers: bool = False, commands: dict[str, str] | None = None) -> LocalStack:
        env = {"DATABASE_URL": "", "REDIS_URL": ""} if own_servers else {}
        return LocalStack(home, port, env, commands=commands or COMMANDS, prepare=False)

    return make


@pytest.fixture
def stack_process(home: Path) -> Iterator[subprocess.Popen[str]]:
    """A stack with servers of its own, in a process of its own that can be killed; it has printed that it is ready."""
    script = f"""
import threading
from pathlib import Path
from agentapp.local.stack import LocalStack
from tests import homes
from tests.local.conftest import COMMANDS
with LocalStack(Path({str(home)!r}), commands=COMMANDS, prepare=False):
    print("ready", flush=True)
    threading.Event().wait()
"""
    env = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL"}}
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=CHECKOUT, env=env, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def until(is_so: Callable[[], object], what: str) -> None:
    """Wait for something outside of this process."""
    deadline = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < deadline, f"not within {DEADLINE_S:.0f} s: {what}"
        time.sleep(0.02)


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def pool_child_of(pid: int) -> int:
    """Return the process that a stand-in pool has started, once it has."""
    parent = psutil.Process(pid)
    until(parent.children, f"a child of {pid}")
    return parent.children()[0].pid
