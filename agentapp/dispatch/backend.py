"""A result backend for canvases whose truth is in Postgres.

Jobs keep neither a counter nor a result here. The fan-in is counted in the stage's row; a chord's body is published by
the part whose settle opened it, and by no other. TaskResult rows remain for what is not a job.
"""

from __future__ import annotations

from typing import Any

from celery.app.task import Context
from django_celery_results.backends.database import DatabaseBackend

from agentapp.dispatch import publisher

# The runtime leaves the ids of what a settle opened on the request; see runtime.handover.
OPENED = "agentapp_opened"


class PostgresBackend(DatabaseBackend):  # type: ignore[misc]
    def apply_chord(self, header_result_args: Any, body: Any, **kwargs: Any) -> None:
        """Nothing to prepare: the stage row is the counter."""

    def on_chord_part_return(self, request: Context, state: str, result: Any, **kwargs: Any) -> None:
        """Publish the chord's body if this part opened it. Never raises: the dispatcher repairs."""
        body: Any = request.chord
        if body and list(body["args"]) == list(getattr(request, OPENED, ())):
            publisher.publish_canvas(self.app.signature(body))

    def _fail_chain(self, *args: Any, **kwargs: Any) -> None:
        """A failed link is a row; what follows it was never due."""
