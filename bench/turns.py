"""Stacks of two sizes that stand side by side and take turns, so that a change of the machine's speed meets both.

Each is a process of its own: `answer` is its part, `alternating` that of who asks them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any


def answer(run: Callable[[], Any]) -> None:
    """Say that the stack stands, and answer each line that is read with one round's figures."""
    print("ready", flush=True)
    for _ in sys.stdin:
        print(json.dumps(run()), flush=True)


def alternating(
    module: str, stands: Sequence[Sequence[str]], *, rounds: int, say: Callable[[int, Any], None] = lambda *_: None
) -> list[list[Any]]:
    """Return the figures of each round by stack. `stands` are the arguments with which the module is one of them;
    `say` is told the number of a stack and what it has found."""
    found: list[list[Any]] = [[] for _ in stands]
    with ExitStack() as running:
        asked = [running.enter_context(_standing(module, arguments)) for arguments in stands]
        for number in range(rounds):
            order = range(len(asked))
            for which in order if number % 2 == 0 else reversed(order):
                found[which].append(asked[which]())
                say(which, found[which][-1])
    return found


@contextmanager
def _standing(module: str, arguments: Sequence[str]) -> Iterator[Callable[[], Any]]:
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        told, told_by = process.stdin, process.stdout
        if told_by.readline().strip() != "ready":
            raise SystemExit(f"The stack of {module} {' '.join(arguments)} did not start.")

        def run() -> Any:
            told.write("go\n")
            told.flush()
            return json.loads(told_by.readline())

        yield run
        told.close()
