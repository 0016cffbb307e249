"""What a web process has counted of its requests in some seconds, until the dispatcher has added it up."""

from __future__ import annotations

from django.db import models

from agentapp import ids


class RequestCount(models.Model):
    """Written by the process that has counted, once; added to the totals and deleted by the dispatcher, at once."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False, help_text="so that none is stored twice")
    counts = models.JSONField(
        help_text='by method, class of the status and route, such as "GET 2xx /tasks/{task_id}": how many took how '
        "long, between the bounds of policies.durations, and all of them together in seconds"
    )

    def __str__(self) -> str:
        return str(self.pk)
