"""One execution of a job."""

from __future__ import annotations

from django.db import models

from agentapp.models.job import Job
from agentapp.states import AttemptOutcome


class Attempt(models.Model):
    """Written at the claim, finished at the settle. Its id is the lease token: a settle whose answer was lost finds
    its own attempt finished and knows that it has already happened."""

    id = models.UUIDField(primary_key=True, editable=False)
    # No database constraint: a check per insert on the hottest path; the pruner deletes attempts with their job.
    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="attempts", db_constraint=False)
    number = models.SmallIntegerField()
    worker = models.CharField(max_length=200)
    in_place = models.BooleanField(default=False, help_text="continued by the worker that did the step before")
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=20, choices=AttemptOutcome, blank=True)
    error_class = models.CharField(max_length=200, blank=True)
    error_message = models.TextField(blank=True)
    trace = models.TextField(blank=True)

    class Meta:
        ordering = ("started_at",)

    def __str__(self) -> str:
        return f"attempt {self.number}"
