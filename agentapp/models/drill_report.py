"""What a drill found."""

from __future__ import annotations

from django.db import models

from agentapp.ids import uuid7


class DrillReport(models.Model):
    """One run of `manage.py drill`. `answers` is a list of {"question", "verdict", "evidence", "seconds"}."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField()
    passed = models.BooleanField()
    answers = models.JSONField()

    class Meta:
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"drill of {self.started_at:%Y-%m-%d %H:%M}"
