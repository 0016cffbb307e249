"""A process that runs bodies: the parent of a pool of threads, or one child of a pool of processes."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models


class Worker(models.Model):
    """Written by the process itself, once a heartbeat. Its session holds the advisory lock `id`: when that is free,
    the process is probably gone."""

    id = models.BigIntegerField(primary_key=True, help_text="drawn at random by the process")
    name = models.CharField(max_length=200, help_text="Celery's node name, with the process id")
    pool = models.CharField(max_length=20)
    queues = ArrayField(models.CharField(max_length=50), default=list)
    jobs = models.IntegerField(default=0, help_text="held at the last heartbeat")
    slots = models.IntegerField(default=1, help_text="bodies that it can run at once")
    counts = models.JSONField(default=dict, help_text="what it has done since it started, by key; see runtime.counters")
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField(help_text="the last heartbeat")
    is_direct = models.BooleanField(null=True, help_text="no pooler stands between: its lock tells whether it lives")
    draining_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        # Written every second: no index but the key.
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name
