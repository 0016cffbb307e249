"""Tasks that begin by the clock, again and again."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from agentapp.ids import uuid7
from agentapp.models.tenant import ApiKey, Tenant
from agentapp.models.workflow import PRIORITIES
from agentapp.states import CatchUp, Overlap, ScheduleRunOutcome


class Schedule(models.Model):
    """What is submitted, when, and for whom. Its tasks act for the key or the person who made it."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="schedules")
    name = models.CharField(max_length=100)
    api_key = models.ForeignKey(ApiKey, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    kind = models.CharField(max_length=100)
    input = models.JSONField()
    labels = models.JSONField(default=dict, blank=True)
    priority = models.SmallIntegerField(choices=PRIORITIES, default=2)
    deadline_s = models.FloatField(null=True, blank=True)
    cron = models.CharField(max_length=200, blank=True, help_text="five fields; empty: every_s says when")
    every_s = models.IntegerField(default=0)
    timezone = models.CharField(max_length=64, default="UTC")
    catch_up = models.CharField(max_length=10, choices=CatchUp, default=CatchUp.ONCE)
    overlap = models.CharField(max_length=10, choices=Overlap, default=Overlap.SKIP)
    is_paused = models.BooleanField(default=False)
    paused_reason = models.CharField(max_length=300, blank=True)
    next_at = models.DateTimeField(null=True, blank=True, help_text="while it is not paused")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("tenant", "name"), name="schedule_name"),)
        indexes = (
            # Dispatcher: what is due.
            models.Index(fields=("next_at",), condition=models.Q(is_paused=False), name="schedule_due"),
        )

    def __str__(self) -> str:
        return self.name


class ScheduleRun(models.Model):
    """What came of one time of a schedule. Its id is that of its task, where one was started."""

    id = models.UUIDField(primary_key=True, editable=False)
    schedule = models.ForeignKey(Schedule, on_delete=models.CASCADE, related_name="runs", db_index=False)
    due_at = models.DateTimeField(help_text="the time of the schedule, or when somebody asked for it")
    is_manual = models.BooleanField(default=False)
    outcome = models.CharField(max_length=10, choices=ScheduleRunOutcome)
    reason = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(help_text="when it was started or left out")

    class Meta:
        indexes = (
            # GET /schedules/{id}/runs: newest first.
            models.Index(fields=("schedule", "-id"), name="schedule_run_list"),
            models.Index(fields=("created_at",), name="schedule_run_age"),  # Pruner.
        )

    def __str__(self) -> str:
        return f"{self.schedule_id} at {self.due_at:%Y-%m-%d %H:%M}"
