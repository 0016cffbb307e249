"""What tasks are found by: an index beside the tasks, which the dispatcher lets follow them."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models

from agentapp.models.workflow import Workflow


class SearchEntry(models.Model):
    """The words of one task, and its tenant as one word more, which no text can contain.

    Beside the task and not in it, so that the updates of each step leave the index alone.
    """

    # The constraint is made by the migration: Postgres deletes the entry with its task, also for releases that do not
    # know this table.
    workflow = models.OneToOneField(
        Workflow, on_delete=models.CASCADE, primary_key=True, related_name="search_entry", db_constraint=False
    )
    words = SearchVectorField()

    class Meta:
        verbose_name_plural = "search entries"
        indexes = (
            # GET /tasks?q=..., the searches of admin and console. What waits to be sorted in is read by every search,
            # so it is kept short.
            GinIndex(fields=("words",), name="search_words", gin_pending_list_limit=1024),
        )

    def __str__(self) -> str:
        return f"words of {self.workflow_id}"


class SearchCursor(models.Model):
    """How far the index has come. One row (id 1), made by the first look.

    What the snapshot `seen` sees is indexed; of what `until` sees beyond it, all up to `after_xid` and `after_task`.
    Tasks with ids below `older_than` are from before the index and follow step by step; null when all are done.
    `passed_over` are tasks that were locked, or whose words could not be stored: they are tried again one by one.
    """

    ROW = 1

    id = models.SmallIntegerField(primary_key=True)
    seen = models.TextField()
    until = models.TextField(null=True)
    after_xid = models.TextField(null=True)
    after_task = models.UUIDField(null=True)
    older_than = models.UUIDField(null=True)
    passed_over = ArrayField(models.UUIDField(), default=list)

    class Meta:
        verbose_name = "search cursor"

    def __str__(self) -> str:
        return f"seen {self.seen}"
