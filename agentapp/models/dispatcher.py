"""Which dispatcher leads, until when, and how its duties go."""

from __future__ import annotations

from django.db import models


class DispatcherLease(models.Model):
    """One row (id 1). Taking the lead raises `epoch`; a leader that finds another epoch has lost the lead.

    `session` is the server process of the leader's direct connection: when it is gone, so is the leader. It is null
    behind a connection pooler, where it would mean nothing.
    """

    ROW = 1

    id = models.SmallIntegerField(primary_key=True)
    epoch = models.BigIntegerField(db_default=0)
    holder = models.CharField(max_length=200, db_default="")
    session = models.IntegerField(null=True)
    led_since = models.DateTimeField(null=True)
    renewed_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)
    report = models.JSONField(null=True, help_text="how its duties go; see dispatch.loop")

    class Meta:
        # Written every second: no index but the key.
        verbose_name = "dispatcher lease"

    def __str__(self) -> str:
        return f"{self.holder} (epoch {self.epoch})"
