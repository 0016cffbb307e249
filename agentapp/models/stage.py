"""A position in a workflow's plan."""

from __future__ import annotations

from django.db import models

from agentapp.models.workflow import Workflow
from agentapp.states import StageKind


class Stage(models.Model):
    """One row per position. A plan is gone through in order: what lies before the workflow's `position` is closed, the
    stage there is open while the workflow has `parts_left`.

    `spec` freezes what the workflow kind said when the plan was made: bind, over, join, repeat, sets, back_to.
    """

    # No database constraint: a check per insert on the hottest path; the pruner deletes stages with their workflow.
    workflow = models.ForeignKey(
        Workflow, on_delete=models.CASCADE, related_name="stages", db_index=False, db_constraint=False
    )
    position = models.SmallIntegerField()
    name = models.CharField(max_length=100)
    kind = models.CharField(max_length=10, choices=StageKind)
    job_type = models.CharField(max_length=100, blank=True)
    round = models.SmallIntegerField(default=0, help_text="how often a loop has come back here")
    spec = models.JSONField(default=dict)
    output = models.JSONField(null=True, blank=True, help_text="of a decision")

    class Meta:
        constraints = (
            # Deferred: a loop shifts all later positions in one statement.
            models.UniqueConstraint(
                fields=("workflow", "position"), name="stage_position", deferrable=models.Deferrable.DEFERRED
            ),
        )

    def __str__(self) -> str:
        return f"{self.position}. {self.name}"

    @property
    def title(self) -> str:
        """Its name, with its round where a loop has come back to it."""
        return f"{self.name} ({self.round + 1})" if self.round else self.name
