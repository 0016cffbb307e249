"""One program that the stack runs, and one life of it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

_LAUNCH = Path(__file__).with_name("launch.py")
MARK = "AGENTAPP_STACK"  # every process of a stack carries its home under this name, and so do their children
_LOG_MAX_BYTES = 10_000_000
# A killed process ends as soon as it gets a processor.
_KILLED_WITHIN_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Account:
    """The system account that a server runs under when we are root; `reach`: it must pass directories closed to it."""

    uid: int
    gid: int
    reach: bool


@dataclass(frozen=True, kw_only=True)
class Program:
    """What to run. `env` is the whole environment. `stop_signal` asks for an orderly end, also when the parent dies."""

    name: str
    argv: list[str]
    env: dict[str, str]
    cwd: Path
    stop_signal: signal.Signals = signal.SIGTERM
    account: Account | None = None


class Child:
    """A running program: leader of its own session, so that Ctrl-C reaches us alone and we decide the order of ends."""

    def __init__(self, program: Program, *, log: Path) -> None:
        """Start it; must be called from a thread that outlives it, because Linux ties the end of a child to a thread.

        Raises:
            OSError: the program or its log cannot be opened.
        """
        self.program = program
        with _open_log(log) as output:
            self._process = subprocess.Popen(
                launched(program.argv, account=program.account, stop_signal=program.stop_signal),
                env=program.env,
                cwd=program.cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.started_at = time.monotonic()
        self.created_at = psutil.Process(self.pid).create_time()

    @property
    def pid(self) -> int:
        return self._process.pid

    def exit_code(self) -> int | None:
        """None while it runs; negative = ended by that signal."""
        return self._process.poll()

    def lived_s(self) -> float:
        return time.monotonic() - self.started_at

    def ask_to_stop(self) -> None:
        if self.exit_code() is None:
            self._process.send_signal(self.program.stop_signal)

    def wait(self, *, timeout_s: float) -> bool:
        """Return whether it ended in time."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(max(timeout_s, 0))
        return self.exit_code() is not None

    def kill(self) -> None:
        """End it and what it started, and return when they have ended. Also called after an orderly end: pool children
        may be left."""
        kill_group(self.pid)
        self._process.wait()
        deadline = time.monotonic() + _KILLED_WITHIN_S
        while _has_members(self.pid) and time.monotonic() < deadline:
            time.sleep(0.01)


def launched(argv: list[str], *, account: Account | None, stop_signal: signal.Signals) -> list[str]:
    """Return the command that becomes `argv` under an account and ends with this process; see launch.py."""
    account = account or Account(uid=-1, gid=-1, reach=False)
    rights = (os.getpid(), int(stop_signal), account.uid, account.gid, int(account.reach))
    return [sys.executable, "-I", "-S", str(_LAUNCH), *map(str, rights), *argv]


def kill_group(pid: int) -> None:
    """Kill the process group that `pid` leads; none is left = nothing to do."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _has_members(group: int) -> bool:
    """Tell whether a process of this group still runs; one that nobody has collected does not."""
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return any(_is_in(group, pid) for pid in psutil.pids())


def _is_in(group: int, pid: int) -> bool:
    try:
        return os.getpgid(pid) == group and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, PermissionError, psutil.Error):
        return False


@contextlib.contextmanager
def _open_log(path: Path) -> Iterator[int]:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > _LOG_MAX_BYTES:
        path.replace(path.with_suffix(".log.1"))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
