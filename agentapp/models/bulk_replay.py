"""Many dead letters of one kind, replayed together."""

from __future__ import annotations

from django.db import models

from agentapp.models.bulk_operation import BulkOperation
from agentapp.states import BulkReplayState


class BulkReplay(BulkOperation):
    """First `canary` of them, then, if those did well, the rest by `batch`; it stops itself when too many fail again.

    `waiting` are the jobs that are not replayed yet, `replayed` those that are under way: lists of job ids. `selection`
    is {fingerprint | type, job_type, total, left_out, in_doubt}.
    """

    state = models.CharField(max_length=10, choices=BulkReplayState, default=BulkReplayState.CANARY)
    replayed = models.JSONField(default=list)
    succeeded = models.IntegerField(default=0)
    canary = models.IntegerField()
    batch = models.IntegerField()

    class Meta:
        indexes = (
            # Dispatcher: what goes on.
            models.Index(fields=("id",), condition=models.Q(finished_at=None), name="bulk_replay_open"),
        )

    def __str__(self) -> str:
        return f"bulk replay {self.id}"
