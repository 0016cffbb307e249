"""Named places where a test may kill this process, before and after each commit, publish, effect and acknowledgement.

Off unless AGENTAPP_FAILPOINTS names a folder: `hit` is then an empty function. With the folder, a process that reaches
a point for which there lies a file `<point>@<job type>` takes the file away and kills itself with SIGKILL: each file
kills once, whichever process comes first.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

POINTS = (
    "submit.before", "submit.after",  # on the kind of the task
    "ack.after",  # the message has left the broker, nothing else has happened
    "claim.before", "claim.after", "settle.before", "settle.after", "publish.before", "publish.after",
    "webhook.spread",  # on the type of the event: its deliveries are workflows, and it is not marked yet
    "schedule.started",  # on the kind: a task was started by the clock, and that is not written down yet
    "effect.begin.before", "effect.begin.after", "effect.call.before", "effect.call.after",
)  # fmt: skip


def _nothing(point: str, on: str) -> None:
    """In production."""


hit = _nothing


def arm(folder: Path) -> None:
    """Let files in `folder` kill this process from now on."""
    global hit

    def die(point: str, on: str) -> None:
        try:
            (folder / f"{point}@{on}").unlink()
        except FileNotFoundError:
            return
        os.kill(os.getpid(), signal.SIGKILL)

    hit = die
