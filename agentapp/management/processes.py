"""The worker processes of the Procfile, the worker classes that each serves, and how commands ask for them."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path

from django.core.management.base import CommandError

from agentapp import registry

# The worker classes by the process of the Procfile that serves them.
WORKERS = {
    "model": ("model", "retrieval"), "send": ("send",), "webhooks": ("webhooks", "tools"), "documents": ("documents",),
}  # fmt: skip


def add_arguments(parser: ArgumentParser, *, made: str, printed: str, line: str) -> None:
    """The options of a command that gives each process something of its own: roles, users. `line`: of a file."""
    parser.add_argument("--apply", action="store_true", help=f"make the {made} now (default: print {printed})")
    parser.add_argument("--prefix", default="agentapp", help=f"of the names of the {made} (default: agentapp)")
    parser.add_argument(
        "--worker", action="append", metavar="NAME=CLASS,...",
        help="a worker process and the worker classes that it serves; again for each (default: as the Procfile)",
    )  # fmt: skip
    parser.add_argument(
        "--addresses", type=Path, metavar="FILE",
        help=f"keep a line {line} for each in this file, with a password that is made once; lines of yours stay",
    )  # fmt: skip
    parser.add_argument("--force", action="store_true", help="write these lines anew where you have changed them")


def workers(given: list[str] | None) -> Mapping[str, tuple[str, ...]]:
    """Read NAME=CLASS,CLASS for each; without any, the processes of the Procfile and one for each class beside them.

    Raises CommandError for what cannot be read.
    """
    if not given:
        served = {queue for queues in WORKERS.values() for queue in queues}
        return {**WORKERS, **{name: (name,) for name in sorted(set(registry.worker_classes) - served)}}
    found: dict[str, tuple[str, ...]] = {}
    for text in given:
        name, _, queues = text.partition("=")
        found[name] = tuple(queue for queue in queues.split(",") if queue)
        unknown = sorted(set(found[name]) - set(registry.worker_classes))
        if not name.isidentifier() or not found[name] or unknown:
            classes = ", ".join(sorted(registry.worker_classes))
            raise CommandError(f"--worker {text}: write NAME=CLASS,CLASS with classes of {classes}.")
    return found
