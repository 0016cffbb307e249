"""One execution of a job."""

from __future__ import annotations

from django.contrib.postgres.indexes import BrinIndex
from django.db import models

from agentapp.models.job import Job
from agentapp.states import AttemptOutcome, JobState


class Attempt(models.Model):
    """Written once, when it has ended; while it runs its job tells (attempts_of). Its id is the lease token: a
    settle whose answer was lost finds its own attempt and knows that it has already happened."""

    id = models.UUIDField(primary_key=True, editable=False)
    # No database constraint: a check per insert on the hottest path; the pruner deletes attempts with their job.
    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="attempts", db_constraint=False)
    number = models.SmallIntegerField()
    replay = models.SmallIntegerField(default=0, db_default=0, help_text="of which replay; 0 before the first")
    worker = models.CharField(max_length=200)
    in_place = models.BooleanField(default=False, help_text="continued by the worker that did the step before")
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField()
    outcome = models.CharField(max_length=20, choices=AttemptOutcome)
    error_class = models.CharField(max_length=200, blank=True)
    error_message = models.TextField(blank=True)
    trace = models.TextField(blank=True)

    class Meta:
        ordering = ("started_at",)
        # Dispatcher: what ended in the last minute; see History.
        indexes = (BrinIndex(fields=("finished_at",), pages_per_range=32, autosummarize=True, name="attempt_finished"),)

    def __str__(self) -> str:
        return f"attempt {self.number}"


def attempts_of(job: Job) -> list[Attempt]:
    """The attempts of a job in order: those that have ended, and the one that runs, of which its job tells."""
    found = sorted(job.attempts.all(), key=lambda attempt: (attempt.started_at, attempt.number))
    if job.state == JobState.RUNNING and job.lease_token and job.started_at:
        found.append(
            Attempt(
                id=job.lease_token, job=job, number=job.attempt, worker=job.worker, started_at=job.started_at,
                in_place=job.publishes == 0, replay=job.replay,
            )
        )  # fmt: skip
    return found
