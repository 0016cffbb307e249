"""One durable unit of work."""

from __future__ import annotations

from django.db import models

from agentapp.ids import uuid7
from agentapp.models.stage import Stage
from agentapp.models.tenant import Tenant
from agentapp.models.workflow import PRIORITIES, Workflow
from agentapp.states import JobState


class Job(models.Model):
    """A stage has one job, or many when it fans out. A Celery message holds its id and nothing else."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # No database constraints: three checks per insert on the hottest path, and each stage that the pruner deletes would
    # scan all jobs. It deletes jobs with their workflow.
    workflow = models.ForeignKey(
        Workflow, on_delete=models.CASCADE, related_name="jobs", db_index=False, db_constraint=False
    )
    stage = models.ForeignKey(Stage, on_delete=models.CASCADE, related_name="jobs", db_index=False, db_constraint=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False)
    type = models.CharField(max_length=100)
    queue = models.CharField(max_length=50, help_text="the worker class that may claim it")
    model = models.CharField(max_length=100, blank=True, help_text="the model that it calls")
    tool = models.CharField(max_length=100, blank=True, help_text="the tool that it uses")
    state = models.CharField(max_length=20, choices=JobState, default=JobState.PENDING)
    part = models.IntegerField(default=0, help_text="its index within a fan-out")
    payload = models.JSONField(null=True, blank=True)
    output = models.JSONField(null=True, blank=True)
    error = models.JSONField(null=True, blank=True, help_text='the last one: {"class", "message", "kind"}')
    priority = models.SmallIntegerField(choices=PRIORITIES, default=2)
    attempt = models.SmallIntegerField(default=0, help_text="executions so far, counted at the claim")
    max_attempts = models.SmallIntegerField(default=5)
    replay = models.SmallIntegerField(default=0, db_default=0, help_text="how often a person has replayed it")
    timeout_s = models.IntegerField(default=60)
    scheduled_at = models.DateTimeField(null=True, blank=True, help_text="not before this moment")
    blocked_by = models.JSONField(null=True, blank=True, help_text="what was in its way when a worker wanted it")
    lease_token = models.UUIDField(null=True, blank=True, help_text="proof of ownership of a running job")
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    worker = models.CharField(max_length=200, blank=True)
    process = models.BigIntegerField(null=True, blank=True, help_text="advisory lock of the process that holds it")
    checkpoint = models.JSONField(null=True, blank=True, help_text="what an attempt saved for the next one")
    clean_up_at = models.DateTimeField(null=True, blank=True, help_text="cancelled; its clean-up is due by then")
    published_at = models.DateTimeField(null=True, blank=True, help_text="its last message; none: it queues here")
    publishes = models.SmallIntegerField(default=0, help_text="messages since it became available")
    available_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = (
            # Fan-in, bindings, GET /tasks/{id}/jobs.
            models.Index(fields=("workflow", "stage"), name="job_of_stage"),
            # Stager: what is due.
            models.Index(
                fields=("scheduled_at",), condition=models.Q(state__in=("retryable", "scheduled")), name="job_due"
            ),
            # Rescuer: leases of running jobs. Not on lease_expires_at, which every heartbeat changes.
            models.Index(fields=("id",), condition=models.Q(state="running"), name="job_running"),
            # Rescuer: messages that got lost; dispatcher: how many the broker holds.
            models.Index(
                fields=("queue", "priority", "published_at"),
                condition=models.Q(state="available", published_at__isnull=False),
                name="job_runway",
            ),
            # Dispatcher: what waits to be published, by lanes that pass or are stopped together, the oldest task first:
            # ids begin with their time.
            models.Index(
                fields=("queue", "tenant", "priority", "type", "workflow", "id"),
                condition=models.Q(state="available", published_at=None),
                name="job_backlog",
            ),
            # Dispatcher: clean-ups of cancelled jobs that nobody has done yet.
            models.Index(fields=("clean_up_at",), condition=models.Q(clean_up_at__isnull=False), name="job_clean_up"),
            # The dead-letter pages.
            models.Index(fields=("-finished_at",), condition=models.Q(state="dead_lettered"), name="job_dead"),
        )

    def __str__(self) -> str:
        return f"{self.type} {self.id}"
