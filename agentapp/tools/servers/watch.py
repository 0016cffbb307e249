"""Runs one program, and ends all that it has started when it ends, or when the process that wanted it is gone.

A script of its own, in a process of its own, because a worker that is killed ends nothing any more. It imports what
starts fast and nothing of ours: `python -I -S watch.py LINE PROGRAM ...`, where LINE is a pipe that the worker holds
open as long as it wants the program.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

# How long a program may take to end by itself, once its input has ended.
END_S = 2.0
# From <linux/prctl.h>.
_DEATH_SIGNAL, _SUBREAPER = 1, 36
_NOT_STARTED = 127


def main(line: int, command: list[str]) -> int:
    """Return the exit code of the program, as a shell does: 128 and the signal for one that was killed."""
    os.set_inheritable(line, False)
    # All that it starts becomes a child of this process when its own parent ends, also in a session of its own.
    _prctl(_SUBREAPER, 1)
    woken = _wake_at_ends_of_children()
    program = _started(command)
    null = os.open(os.devnull, os.O_RDWR)
    for pipe in (0, 1):
        # The pipes of the program are its own: who reads them sees that it has ended.
        os.dup2(null, pipe)
    status = _end_of(program, line, woken)
    _end_all(program)
    return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


def _started(command: list[str]) -> int:
    this = os.getpid()
    program = os.fork()
    if program:
        return program
    os.setsid()
    # Python ignores it, and whom a program starts would.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    _prctl(_DEATH_SIGNAL, signal.SIGKILL)
    # If this process's parent was killed before the line above, nobody would tell.
    if os.getppid() == this:
        with suppress(OSError):
            os.execvp(command[0], command)  # noqa: S606 - the setting names it; no shell
    os._exit(_NOT_STARTED)


def _wake_at_ends_of_children() -> int:
    woken, wake = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    return woken


def _end_of(program: int, line: int, woken: int) -> int:
    """Wait until the program has ended. When nobody wants it any more, it has a little time, then it is killed."""
    # Not select(): a worker with many files open gives numbers that it does not take.
    watched, ends_s = select.poll(), None
    for pipe in (line, woken):
        watched.register(pipe, select.POLLIN)
    while True:
        left_ms = None if ends_s is None else max(0.0, ends_s - time.monotonic()) * 1000
        ready = [pipe for pipe, _ in watched.poll(left_ms)]
        if woken in ready:
            with suppress(BlockingIOError):
                os.read(woken, 4096)
        while (found := _ended(os.WNOHANG)) is not None and found[0]:
            if found[0] == program:
                return found[1]
        if line in ready:
            watched.unregister(line)
            ends_s = time.monotonic() + END_S
        if ends_s is not None and time.monotonic() >= ends_s:
            _kill(program)
            ends_s = None


def _end_all(program: int) -> None:
    """Kill what is left of it, and what that leaves, until there is nothing."""
    while True:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(program, signal.SIGKILL)
        for child in _children():
            _kill(child)
        if _ended(0) is None:
            return


def _ended(options: int) -> tuple[int, int] | None:
    """A child that has ended and how; (0, 0): none yet; None: there is no child."""
    try:
        return os.waitpid(-1, options)
    except ChildProcessError:
        return None


def _kill(process: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(process, signal.SIGKILL)


def _children() -> list[int]:
    """The children of this process, where the system says so (Linux)."""
    this, found = str(os.getpid()).encode(), []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The name of a program may have blanks and brackets.
            if stat.read_bytes().rpartition(b")")[2].split()[1] == this:
                found.append(int(stat.parent.name))
    return found


def _prctl(option: int, value: int) -> None:
    """Only Linux has it; elsewhere the group of the program is all that is ended."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
