"""The home directory: who may use it now, what lies in it, and forgetting it."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from pathlib import Path
from typing import Any, Self

from agentapp.local.files import write_private
from agentapp.local.problem import StackProblem

STACK_FILE = "stack.json"
_LOCK_FILE = "lock"
# `reset` removes these and nothing else, and only where a stack has left its lock file.
_OURS = [
    "artifacts",
    "credentials.json",
    "demo",
    "leftovers.json",
    "logs",
    "media",
    "outbox",
    "outbox.receipts",
    "postgres",
    "run",
    "secret_key",
    "stack.json",
    "static",
    "valkey",
]


class HomeLock:
    """Held by the process that runs a stack on this home; the system lets go of it when that process ends, however."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._descriptor = -1

    def __enter__(self) -> Self:
        """Take the lock.

        Raises:
            StackProblem: another process holds it, or the home cannot be written.
        """
        try:
            self._home.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self._home / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StackProblem(
                f"{self._home} cannot be written ({error.strerror}): set AGENTAPP_HOME to a directory of yours."
            ) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(self._descriptor, 20).decode() or "unknown"
            os.close(self._descriptor)
            raise StackProblem(_in_use(self._home, holder)) from error
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, str(os.getpid()).encode())
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


def _in_use(home: Path, holder: str) -> str:
    url = read_stack(home).get("url")
    where = f", at {url}" if url else ""
    return (
        f"A stack runs on {home} already (process {holder}{where}): use it, stop it with Ctrl-C or `kill {holder}`, "
        "or run another beside it with AGENTAPP_HOME=.local2 PORT=0."
    )


def read_stack(home: Path) -> dict[str, Any]:
    """Return what the stack of this home wrote about itself; nothing runs = {}."""
    try:
        content = json.loads((home / STACK_FILE).read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write_stack(home: Path, stack: dict[str, Any]) -> None:
    write_private(home / STACK_FILE, json.dumps(stack, indent=2) + "\n")


def forget(home: Path) -> list[str]:
    """Remove all that a stack has kept here; return the names of what is gone.

    Raises:
        StackProblem: a stack runs on it.
    """
    if not (home / _LOCK_FILE).exists():
        return []
    with HomeLock(home):
        found = [name for name in _OURS if (home / name).exists()]
        for name in found:
            path = home / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        (home / _LOCK_FILE).unlink()
    return found
