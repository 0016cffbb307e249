"""Wait until something is so, with a deadline and words for when it is not."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

from agentapp.local.problem import StackProblem
from agentapp.local.supervisor import Supervisor

_POLL_S = 0.03
_DEATHS_MAX = 3


def until_ready(
    supervisor: Supervisor, name: str, is_ready: Callable[[], bool], *, log: Path, timeout_s: float
) -> None:
    """Return when a program is ready.

    Raises:
        StackProblem: it died three times, or is not ready after `timeout_s`; the end of its log is in the message.
    """
    pause = threading.Event()  # never set: a wait that a signal handler can break into
    deadline = time.monotonic() + timeout_s
    while not is_ready():
        if supervisor.deaths(name) >= _DEATHS_MAX:
            raise StackProblem(f"{name} does not stay up. The end of {log}:\n{tail(log)}")
        if time.monotonic() > deadline:
            raise StackProblem(f"{name} is not ready after {timeout_s:.0f} s. The end of {log}:\n{tail(log)}")
        pause.wait(_POLL_S)


def tail(log: Path, *, lines: int = 15) -> str:
    """Return the last lines of a log; none = a word that says so."""
    try:
        content = log.read_text(errors="replace").splitlines()
    except OSError:
        return "(no log)"
    return "\n".join(content[-lines:]) or "(empty)"
