"""Which database this is, and when a backup became it."""

from __future__ import annotations

from django.db import models


class Restore(models.Model):
    """One row for each backup that `after_restore` has taken in, and each replica that a dispatcher found promoted; the
    first, whose `at` is null, is the database as it was set up. A restored copy has another server, or another number
    of this table, than its latest row says: no dispatcher leads there. A promoted replica has another timeline."""

    at = models.DateTimeField(null=True, help_text="tasks from before may have sent what the ledger does not know")
    cluster = models.CharField(max_length=40, help_text="system identifier of the server; empty: it may not be read")
    table_number = models.BigIntegerField(help_text="of this table in Postgres; 0 while a restore is taken in")
    timeline = models.CharField(
        max_length=8, default="", db_default="", help_text="of the server's log; empty: not known"
    )
    actor = models.CharField(max_length=200)
    report = models.JSONField(default=dict, help_text="how many rows were changed")

    def __str__(self) -> str:
        return f"restore {self.pk}"
