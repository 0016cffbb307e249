"""What is remembered of customers: facts in versions, and the record of who changed them."""

from __future__ import annotations

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector, SearchVectorField
from django.db import models
from pgvector.django import VectorField

from agentapp.ids import uuid7
from agentapp.models.tenant import Tenant


class Memory(models.Model):
    """One version of a fact. All versions of a fact share `fact_id`; the one without `valid_until` holds.

    A fact is data about one customer, never an instruction. It is read only where its tenant and its `about` are named.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="+", db_index=False)
    about = models.CharField(max_length=320, help_text="whom it is about, as in a mail address, in lower case")
    fact_id = models.UUIDField(help_text="the same in all versions of a fact")
    text = models.TextField()
    text_sha256 = models.CharField(max_length=64, help_text="of the text without differences of case and spaces")
    is_untrusted = models.BooleanField(help_text="It comes from a text that others wrote: it taints a run.")
    written_by = models.CharField(max_length=200, help_text="key:<prefix>, user:<name> or a job type")
    task_id = models.UUIDField(null=True, blank=True, help_text="the task whose text it was read from")
    valid_from = models.DateTimeField()
    valid_until = models.DateTimeField(null=True, blank=True, help_text="since when another version holds")
    search = models.GeneratedField(
        expression=SearchVector("text", config="english"), output_field=SearchVectorField(), db_persist=True
    )
    # Vector spaces never mix, as those of chunks.
    embedding = VectorField(null=True, blank=True)
    embedding_model = models.CharField(max_length=100, blank=True)
    embedding_dimension = models.PositiveSmallIntegerField(default=0)
    # Of another model, until all are there: see lifecycle/vectors.py.
    next_embedding = VectorField(null=True, blank=True)
    next_model = models.CharField(max_length=100, blank=True, default="", db_default="")
    next_dimension = models.PositiveSmallIntegerField(default=0, db_default=0)

    class Meta:
        verbose_name_plural = "memories"
        constraints = (
            # Two writers of one fact make one row. It also finds the facts of one customer that hold.
            models.UniqueConstraint(
                fields=("tenant", "about", "text_sha256"),
                condition=models.Q(valid_until__isnull=True),
                name="memory_once",
            ),
        )
        indexes = (
            # GET /memories, with and without ?about=...
            models.Index(fields=("tenant", "id"), name="memory_tenant"),
            models.Index(fields=("tenant", "about", "id"), name="memory_about"),
            models.Index(fields=("fact_id",), name="memory_fact"),
            GinIndex(fields=("search",), name="memory_search"),
        )

    def __str__(self) -> str:
        return f"memory {self.pk}"


class MemoryChange(models.Model):
    """That a fact was written, corrected or erased, by whom and when. It outlives the fact, and names no text."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="+", db_index=False)
    fact_id = models.UUIDField()
    at = models.DateTimeField()
    action = models.CharField(max_length=20, help_text="written, superseded or erased")
    actor = models.CharField(max_length=200)
    task_id = models.UUIDField(null=True, blank=True)

    class Meta:
        indexes = (
            models.Index(fields=("tenant", "fact_id", "id"), name="memory_change_fact"),
            # Pruner: what nobody asks about any more.
            models.Index(fields=("at",), name="memory_change_at"),
        )

    def __str__(self) -> str:
        return f"{self.action} {self.fact_id}"
