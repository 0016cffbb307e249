"""Measurements of the operations page: one row for each minute and key."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models


class Measured(models.Model):
    """What happened in a stretch of time at one key, and how it stood at the end of it.

    A key is "platform", "api", "queue:<name>", "model:<name>", "tool:<name>", "kind:<name>" or
    "webhook:<outcome>". One that somebody has paused, or whose breaker is open, has a row too, which says what waits
    behind it. How it stood is null where the minute was measured later, when nobody knew any more. Where there is no
    row of the platform for a minute, nobody measured it. Of the API: requests, of which those failed that were
    answered with 5xx.
    """

    minute = models.DateTimeField(help_text="its beginning")
    key = models.CharField(max_length=120)
    waiting = models.IntegerField(null=True, help_text="jobs that wait for a worker, or behind a key that is stopped")
    oldest_s = models.FloatField(null=True, help_text="for how long the oldest of them has waited")
    running = models.IntegerField(null=True)
    slots = models.IntegerField(null=True, help_text="bodies that the living workers can run at once")
    dead_letters = models.IntegerField(null=True, help_text="of the platform: all that wait for a person")
    entered = models.IntegerField(default=0, help_text="jobs that came to wait for a worker")
    begun = models.IntegerField(default=0, help_text="jobs that were claimed")
    dead_lettered = models.IntegerField(default=0, help_text="jobs that became a dead letter")
    completed = models.IntegerField(default=0, help_text="attempts; of a model: calls; of a kind: tasks")
    failed = models.IntegerField(default=0, help_text="attempts; of a model: calls; of a kind: tasks")
    cancelled = models.IntegerField(default=0, db_default=0, help_text="of a kind: tasks")
    retried = models.IntegerField(default=0, help_text="attempts that were not the first of their job")
    limited = models.IntegerField(default=0, help_text="of a model: calls that were refused with 429")
    prompt_tokens = models.BigIntegerField(default=0)
    completion_tokens = models.BigIntegerField(default=0)
    cost_usd = models.DecimalField(max_digits=14, decimal_places=6, default=0)
    # How many fell between two bounds of policies.durations; empty: none.
    waits = ArrayField(models.IntegerField(), default=list, help_text="how long attempts had waited for a worker")
    runs = ArrayField(
        models.IntegerField(), default=list, help_text="how long attempts, calls of a model, or tasks took"
    )
    wait_s = models.FloatField(default=0, db_default=0, help_text="of those in `waits`, all together")
    run_s = models.FloatField(default=0, db_default=0, help_text="of those in `runs`, all together")

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.key} {self.minute:%Y-%m-%d %H:%M}"


class Sample(Measured):
    """Of a minute (UTC)."""

    pk = models.CompositePrimaryKey("minute", "key")


class QuarterSample(Measured):
    """Of a quarter of an hour, added up from its minutes: a week of minutes is too much to read at each look. How it
    stood is the most of its minutes."""

    pk = models.CompositePrimaryKey("minute", "key")


class Total(models.Model):
    """What all minutes of a key add up to since it was first measured: counters that never go back, for /metrics.

    A key is one of a Sample, "event:<name>": how often workers logged an event that tells of a problem, or
    "route:<name>": requests of one method, class of status and route of the API, as in RequestCount.
    """

    key = models.CharField(primary_key=True, max_length=120)
    minute = models.DateTimeField(null=True, help_text="the last one that is part of it")
    entered = models.BigIntegerField(default=0)
    begun = models.BigIntegerField(default=0)
    dead_lettered = models.BigIntegerField(default=0)
    completed = models.BigIntegerField(default=0)
    failed = models.BigIntegerField(default=0)
    cancelled = models.BigIntegerField(default=0)
    retried = models.BigIntegerField(default=0)
    limited = models.BigIntegerField(default=0)
    happened = models.BigIntegerField(default=0, help_text="of an event")
    prompt_tokens = models.BigIntegerField(default=0)
    completion_tokens = models.BigIntegerField(default=0)
    cost_usd = models.DecimalField(max_digits=20, decimal_places=6, default=0)
    waits = ArrayField(models.BigIntegerField(), default=list)
    runs = ArrayField(models.BigIntegerField(), default=list)
    wait_s = models.FloatField(default=0)
    run_s = models.FloatField(default=0)
    seen = models.JSONField(default=dict, help_text="of the platform: what each worker had counted at the last look")

    def __str__(self) -> str:
        return self.key
