"""A role of Postgres with fewer rights than the owner of the tables: one for each class of processes."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models


class DatabaseRole(models.Model):
    """Written by `manage.py database_roles`. The moves look here for what a session's role may do: what a process says
    of itself does not count."""

    name = models.CharField(max_length=63, primary_key=True, help_text="of the role that a process connects as")
    queues = ArrayField(
        models.CharField(max_length=50), null=True,
        help_text="the worker classes for whose jobs it may act; null: all, as the dispatcher does",
    )  # fmt: skip

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name
