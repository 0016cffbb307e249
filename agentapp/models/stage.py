"""A position in a workflow's plan."""

from __future__ import annotations

from django.db import models

from agentapp.models.workflow import Workflow
from agentapp.states import StageKind


class Stage(models.Model):
    """One row per position. It opens once (opened_at) and closes once (closed_at); `parts_left` is the fan-in.

    `spec` freezes what the workflow kind said when the plan was made: bind, over, join, repeat, sets, back_to.
    """

    workflow = models.ForeignKey(Workflow, on_delete=models.CASCADE, related_name="stages", db_index=False)
    position = models.SmallIntegerField()
    name = models.CharField(max_length=100)
    kind = models.CharField(max_length=10, choices=StageKind)
    job_type = models.CharField(max_length=100, blank=True)
    round = models.SmallIntegerField(default=0, help_text="how often a loop has come back here")
    spec = models.JSONField(default=dict)
    parts = models.IntegerField(default=0)
    parts_left = models.IntegerField(default=0, help_text="completions that are still needed to close it")
    output = models.JSONField(null=True, blank=True, help_text="of a decision")
    opened_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = (
            # Deferred: a loop shifts all later positions in one statement.
            models.UniqueConstraint(
                fields=("workflow", "position"), name="stage_position", deferrable=models.Deferrable.DEFERRED
            ),
        )

    def __str__(self) -> str:
        return f"{self.position}. {self.name}"
