"""One run that a client asked for."""

from __future__ import annotations

from collections.abc import Mapping

from django.conf import settings
from django.contrib.postgres.indexes import BrinIndex, GinIndex
from django.db import models
from django.db.models.functions import Now

from agentapp.ids import uuid7
from agentapp.models.tenant import ApiKey, Tenant
from agentapp.policies import priority
from agentapp.states import Origin, WorkflowState

PRIORITIES = tuple(enumerate(priority.NAMES))
RISKS = (("low", "low"), ("medium", "medium"), ("high", "high"))


# Most tasks have none: the index of labels leaves them out, and who looks for labels says so.
_HAS_LABELS = ~models.Q(labels={})


def labelled(labels: Mapping[str, str]) -> models.Q:
    """Tasks with all of these labels."""
    return _HAS_LABELS & models.Q(labels__contains=dict(labels))


class Workflow(models.Model):
    """A task, in the words of the API: its plan is in Stage rows, its work in Job rows, its past in History rows."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="workflows", db_index=False)
    # The principal: the key or the person that the run acts for. Checked again at every claim.
    api_key = models.ForeignKey(ApiKey, on_delete=models.PROTECT, null=True, blank=True, db_index=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, db_index=False, related_name="+"
    )
    kind = models.CharField(max_length=100)
    version = models.SmallIntegerField(default=1)
    state = models.CharField(max_length=20, choices=WorkflowState, default=WorkflowState.PENDING)
    priority = models.SmallIntegerField(choices=PRIORITIES, default=2)
    risk = models.CharField(max_length=10, choices=RISKS, default="low")
    input = models.JSONField()
    result = models.JSONField(null=True, blank=True)
    error = models.JSONField(null=True, blank=True, help_text='{"class", "message"} in words a person understands')
    labels = models.JSONField(default=dict, blank=True)
    # Null: none. Each {"at", "by", "job", "text"}.
    notices = models.JSONField(null=True, blank=True, help_text="what people told the client about dead letters")
    result_bind = models.JSONField(default=dict, blank=True, help_text="where the result is read from at the end")
    position = models.SmallIntegerField(default=0, help_text="the stage that is open, from 1")
    parts_left = models.IntegerField(default=0, help_text="completions that the open stage still needs")
    stages_total = models.SmallIntegerField(default=0)
    jobs_total = models.IntegerField(default=0)
    jobs_done = models.IntegerField(default=0)
    seq = models.IntegerField(default=0, help_text="the last number given to a History row")
    tokens = models.BigIntegerField(default=0)
    cost_usd = models.DecimalField(max_digits=14, decimal_places=6, default=0)
    unpriced_calls = models.IntegerField(default=0, db_default=0, help_text="calls whose price is not known")
    deadline_at = models.DateTimeField(null=True, blank=True, help_text="unfinished by then, it fails")
    forked_from = models.UUIDField(null=True, blank=True, help_text="the task whose stages before the fork it shares")
    root = models.UUIDField(null=True, blank=True, help_text="the first task of a line of forks: the key of effects")
    continues = models.UUIDField(
        null=True, blank=True, help_text="the completed task whose conversation it goes on with"
    )
    # Lists, quotas and rates of clients count only what a client asked for.
    origin = models.CharField(max_length=20, choices=Origin, default=Origin.CLIENT, db_default=Origin.CLIENT)
    parent = models.UUIDField(null=True, blank=True, help_text="the task or the schedule that has started it")
    callback_url = models.TextField(blank=True, default="", db_default="", help_text="told when it is over")
    traceparent = models.CharField(max_length=55, blank=True, default="", db_default="", help_text="W3C trace context")
    created_at = models.DateTimeField()
    run_at = models.DateTimeField(null=True, blank=True, help_text="not before this moment")
    updated_at = models.DateTimeField(db_default=Now(), help_text="its last change")
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "task"
        indexes = (
            # GET /tasks: newest first by id (ids sort by time), one tenant.
            models.Index(fields=("tenant", "-id"), name="workflow_list"),
            # GET /tasks?label=...
            GinIndex(
                fields=("labels",), opclasses=("jsonb_path_ops",), condition=_HAS_LABELS, name="workflow_by_label"
            ),
            # Admin's default list: what is not finished.
            models.Index(fields=("-id",), condition=models.Q(finished_at=None), name="workflow_open"),
            # Dispatcher and intake: tasks that have not begun.
            models.Index(fields=("tenant",), condition=models.Q(state="pending"), name="workflow_waiting"),
            # Dispatcher: what is to begin by now.
            models.Index(fields=("run_at",), condition=models.Q(state="scheduled"), name="workflow_scheduled"),
            # GET /tasks?parent=...
            models.Index(fields=("parent",), condition=models.Q(origin="child"), name="workflow_parts"),
            # GET /tasks?updated_after=...: only an index of this kind leaves the updates of a step within their page.
            BrinIndex(fields=("updated_at",), pages_per_range=16, name="workflow_updated"),
            # Timekeeper: what must be done by now.
            models.Index(
                fields=("deadline_at",),
                condition=models.Q(finished_at=None, deadline_at__isnull=False),
                name="workflow_deadline",
            ),
            # Pruner: what is over for so long that it may go.
            models.Index(
                fields=("state", "finished_at"), condition=models.Q(finished_at__isnull=False), name="workflow_over"
            ),
            # Pruner: a fork still reads the artifacts of the task that it was forked from.
            models.Index(fields=("forked_from",), condition=models.Q(forked_from__isnull=False), name="workflow_forks"),
            # Where a conversation goes on; pruner: a follow-up reads what the tasks before it have stored.
            models.Index(fields=("continues",), condition=models.Q(continues__isnull=False), name="workflow_continued"),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"
