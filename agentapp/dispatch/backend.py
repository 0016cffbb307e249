"""A result backend for canvases whose truth is in Postgres.

Jobs keep neither a counter nor a result here. The fan-in is counted in the stage's row; a chord's body is published by
the part whose settle opened it, and by no other. TaskResult rows remain for what is not a job.
"""

from __future__ import annotations

import logging
from typing import Any

from celery.app.task import Context
from celery.exceptions import NotRegistered
from django_celery_results.backends.database import DatabaseBackend

from agentapp.dispatch import canvas, publisher
from agentapp.lifecycle.opened import Opened
from agentapp.observability import events

# The runtime leaves the ids of what a settle opened on the request; see runtime.handover.
OPENED = "agentapp_opened"


class PostgresBackend(DatabaseBackend):  # type: ignore[misc]
    def apply_chord(self, header_result_args: Any, body: Any, **kwargs: Any) -> None:
        """Nothing to prepare: the stage row is the counter."""

    def on_chord_part_return(self, request: Context, state: str, result: Any, **kwargs: Any) -> None:
        """Publish the chord's body if this part opened it. Never raises: the dispatcher repairs."""
        body: Any = request.chord
        if body and list(body["args"]) == list(getattr(request, OPENED, ())):
            publisher.publish(Opened((canvas.link_of(body),)))

    def mark_as_failure(self, task_id: str, exc: Exception, *args: Any, **kwargs: Any) -> Any:
        """Keep no result of a message whose job type this worker does not have: its job is published again, more and
        more slowly, and each of its messages would leave a row."""
        if isinstance(exc, NotRegistered):
            events.emit("job.unknown", level=logging.ERROR, error=exc)
            return None
        return super().mark_as_failure(task_id, exc, *args, **kwargs)

    def _fail_chain(self, *args: Any, **kwargs: Any) -> None:
        """A failed link is a row; what follows it was never due."""
