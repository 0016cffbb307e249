"""The knowledge base."""

from __future__ import annotations

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector, SearchVectorField
from django.db import models
from pgvector.django import VectorField

from agentapp.ids import uuid7
from agentapp.models.tenant import Tenant
from agentapp.states import DocumentState

COLLECTION = "default"


class Document(models.Model):
    """A text that answers may quote. The same source loaded again replaces what was there.

    While a file is taken in, all but `state`, `error` and what concerns the upload is still that of the text that is
    quoted.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="documents", db_index=False)
    source = models.CharField(max_length=500, help_text="file name or address, unique per tenant")
    title = models.CharField(max_length=300)
    sha256 = models.CharField(max_length=64)
    size = models.PositiveIntegerField(help_text="in characters")
    collection = models.CharField(
        max_length=100, default=COLLECTION, db_default=COLLECTION, help_text="searches may ask for one alone"
    )
    media_type = models.CharField(max_length=100, blank=True, default="", db_default="", help_text="empty: a text")
    state = models.CharField(
        max_length=20, choices=DocumentState, default=DocumentState.READY, db_default=DocumentState.READY
    )
    error = models.TextField(blank=True, default="", db_default="", help_text="why the last file could not be read")
    # The latest upload: its file is an artifact, and one workflow takes it in.
    upload_id = models.UUIDField(null=True, blank=True)
    upload_sha256 = models.CharField(max_length=64, blank=True, default="", db_default="")
    task_id = models.UUIDField(null=True, blank=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=("tenant", "source"), name="document_source"),)
        indexes = (
            # Retrieval and GET /documents?collection=...
            models.Index(fields=("tenant", "collection"), name="document_collection"),
            # Pruner: is an upload still that of a document?
            models.Index(fields=("upload_id",), condition=models.Q(upload_id__isnull=False), name="document_upload"),
        )

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
    # Of another model, until all are there: see lifecycle/vectors.py.
    next_embedding = VectorField(null=True, blank=True)
    next_model = models.CharField(max_length=100, blank=True, default="", db_default="")
    next_dimension = models.PositiveSmallIntegerField(default=0, db_default=0)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("document", "position"), name="chunk_position"),)
        indexes = (
            GinIndex(fields=("search",), name="chunk_search"),
            # Vector search: one tenant's chunks of one model.
            models.Index(fields=("tenant", "embedding_model"), name="chunk_space"),
        )

    def __str__(self) -> str:
        return f"{self.document} #{self.position}"
