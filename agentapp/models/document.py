"""The knowledge base."""

from __future__ import annotations

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector, SearchVectorField
from django.db import models
from pgvector.django import VectorField

from agentapp.ids import uuid7
from agentapp.models.tenant import Tenant


class Document(models.Model):
    """A text that answers may quote. The same source loaded again replaces what was there."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="documents", db_index=False)
    source = models.CharField(max_length=500, help_text="file name or address, unique per tenant")
    title = models.CharField(max_length=300)
    sha256 = models.CharField(max_length=64)
    size = models.PositiveIntegerField(help_text="in characters")
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=("tenant", "source"), name="document_source"),)

    def __str__(self) -> str:
        return self.title


class Chunk(models.Model):
    """A passage: the unit of retrieval and citation."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    document = models.ForeignKey(Document, on_delete=models.CASCADE, related_name="chunks")
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="+", db_index=False)
    position = models.PositiveIntegerField()
    heading = models.CharField(max_length=300, blank=True)
    text = models.TextField()
    search = models.GeneratedField(
        expression=SearchVector("heading", "text", config="english"),
        output_field=SearchVectorField(),
        db_persist=True,
    )
    # Vector spaces never mix: a search names the model and compares only chunks that were embedded by it.
    embedding = VectorField(null=True, blank=True)
    embedding_model = models.CharField(max_length=100, blank=True)
    embedding_dimension = models.PositiveSmallIntegerField(default=0)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("document", "position"), name="chunk_position"),)
        indexes = (
            GinIndex(fields=("search",), name="chunk_search"),
            # Vector search: one tenant's chunks of one model.
            models.Index(fields=("tenant", "embedding_model"), name="chunk_space"),
        )

    def __str__(self) -> str:
        return f"{self.document} #{self.position}"
