"""End what an earlier stack on the same home left running when it was killed.

Linux ends the children with their parent. This is for the rest: other systems, pool children, a server that was still
shutting down. A process is ours when the file names its pid together with the time it was created (a pid alone may be
somebody else's by now), or when it carries our mark in its environment.
"""

from __future__ import annotations

import contextlib
import json
import signal
from pathlib import Path

import psutil

from agentapp.local.child import MARK, Child
from agentapp.local.files import write_private

_FILE = "leftovers.json"
_GRACE_S = 10.0
_SAME_TIME_S = 1.0


def record(home: Path, children: dict[str, Child]) -> None:
    """Write down who runs now."""
    entries = [
        {"name": name, "pid": child.pid, "created_at": child.created_at, "signal": int(child.program.stop_signal)}
        for name, child in children.items()
    ]
    write_private(home / _FILE, json.dumps(entries))


def end(home: Path) -> list[str]:
    """End what is left: ask, wait at most ten seconds, kill. Return words for each, for people."""
    found = {process.pid: (name, process, number) for name, process, number in [*_marked(home), *_recorded(home)]}
    for _, process, number in found.values():
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)
    _, alive = psutil.wait_procs([process for _, process, _ in found.values()], timeout=_GRACE_S)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=_GRACE_S)
    (home / _FILE).unlink(missing_ok=True)
    return [f"{name} (process {pid})" for pid, (name, _, _) in found.items()]


def _recorded(home: Path) -> list[tuple[str, psutil.Process, int]]:
    try:
        entries = json.loads((home / _FILE).read_text())
    except (OSError, json.JSONDecodeError):
        return []
    found = []
    for entry in entries:
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(entry["pid"])
            if abs(process.create_time() - entry["created_at"]) < _SAME_TIME_S:
                found.append((entry["name"], process, entry["signal"]))
    return found


def _marked(home: Path) -> list[tuple[str, psutil.Process, int]]:
    found = []
    me = psutil.Process()
    family = {me.pid, *(parent.pid for parent in me.parents())}  # a stack may be started from a process of another
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid not in family and process.environ().get(MARK) == str(home):
                found.append((process.name(), process, int(signal.SIGTERM)))
    return found
