"""The worker processes of the Procfile, and the worker classes that each serves."""

from __future__ import annotations

from collections.abc import Mapping

from django.core.management.base import CommandError

from agentapp import registry

# The worker classes by the process of the Procfile that serves them.
WORKERS = {
    "model": ("model", "retrieval"), "send": ("send",), "webhooks": ("webhooks", "tools"), "documents": ("documents",),
}  # fmt: skip


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
