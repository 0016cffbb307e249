"""What models were asked, what it took, what it cost."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models

from agentapp.ids import uuid7
from agentapp.models.tenant import Tenant


class ModelCall(models.Model):
    """One HTTP call to a model, successful or not."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="+", db_index=False)
    workflow_id = models.UUIDField(null=True)
    job_id = models.UUIDField(null=True)
    attempt = models.PositiveSmallIntegerField(default=0)
    model = models.CharField(max_length=100, help_text="that answered; of a call that failed, the one that was asked")
    asked_model = models.CharField(max_length=100, blank=True, db_default="", help_text="that was asked")
    fallback_of = models.CharField(max_length=100, blank=True, db_default="", help_text="that could not answer")
    prompts = ArrayField(
        models.CharField(max_length=200), default=list, db_default=[], help_text="templates that it was asked with"
    )
    prompt_tokens = models.PositiveIntegerField(default=0)
    completion_tokens = models.PositiveIntegerField(default=0)
    is_embedding = models.BooleanField(default=False, db_default=False)
    is_priced = models.BooleanField(default=True, db_default=True, help_text="else the price of the model is not known")
    cost_usd = models.DecimalField(max_digits=14, decimal_places=6, default=0)
    latency_s = models.FloatField()
    error_class = models.CharField(max_length=100, blank=True)
    # Of a call that an agent framework made: when its job runs again, the same request gets the same answer.
    request_sha256 = models.CharField(max_length=64, blank=True, db_default="", help_text="of what a framework asked")
    answer = models.JSONField(null=True, blank=True, help_text="kept for when the job runs again")
    # {"messages": [{"role", "text", "cut", "calls"}], "reply": {...}}. Null: it was not kept.
    exchange = models.JSONField(null=True, blank=True, help_text="what it was asked and what it answered, for people")
    started_at = models.DateTimeField()

    class Meta:
        indexes = (
            models.Index(fields=("workflow_id",), name="model_call_of_workflow"),
            # Embeddings of the web process.
            models.Index(fields=("started_at",), condition=models.Q(workflow_id=None), name="model_call_no_task"),
            # A job that asks through a framework's client, at its first call.
            models.Index(fields=("job_id",), condition=models.Q(answer__isnull=False), name="model_call_kept"),
        )

    def __str__(self) -> str:
        return f"{self.model} {self.id}"
