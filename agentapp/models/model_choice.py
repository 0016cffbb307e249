"""Which model the jobs of a tenant and a job type call: rows that people edit."""

from __future__ import annotations

from django.db import models

from agentapp.models.tenant import Tenant


class ModelChoice(models.Model):
    """A choice of a model for one tenant or all, and for one job type or all.

    A job follows the first of these that there is: that of its tenant and job type, that of its tenant, that of its job
    type for all tenants, that for all. Without one it follows the settings. `limit_name` and `fallback_limit_name` are
    the names under which gates count the calls. Keys are not kept here: `key_variable` names an environment variable of
    the workers that call models.
    """

    tenant = models.ForeignKey(
        Tenant, on_delete=models.CASCADE, null=True, blank=True, related_name="+", db_index=False
    )
    job_type = models.CharField(max_length=100, blank=True, help_text="empty: all job types that call a model")
    model = models.CharField(max_length=100)
    base_url = models.CharField(max_length=500, blank=True, help_text="of the provider; empty: OPENAI_BASE_URL")
    key_variable = models.CharField(max_length=100, blank=True, help_text="environment variable that holds its key")
    limit_name = models.CharField(max_length=100, editable=False)
    fallback_model = models.CharField(max_length=100, blank=True, help_text="asked where the model cannot answer")
    fallback_base_url = models.CharField(max_length=500, blank=True)
    fallback_key_variable = models.CharField(max_length=100, blank=True)
    fallback_limit_name = models.CharField(max_length=100, blank=True, editable=False)
    temperature = models.FloatField(null=True, blank=True, help_text="empty: as the job type asks")
    max_output_tokens = models.IntegerField(null=True, blank=True, help_text="empty: as the job type asks")
    context_tokens = models.IntegerField(
        null=True, blank=True, help_text="what the model reads and writes at most; empty: AGENTAPP_COMPACT_AT_TOKENS"
    )
    fallback_context_tokens = models.IntegerField(null=True, blank=True)
    parallel_tool_calls = models.BooleanField(
        null=True, blank=True, help_text="whether the model may call several tools at once; empty: it is not told"
    )
    note = models.CharField(max_length=300, blank=True, help_text="why it is so")
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("tenant", "job_type"), name="model_choice_once", nulls_distinct=False),
        )

    def __str__(self) -> str:
        return f"{self.tenant or 'all tenants'}, {self.job_type or 'all job types'}"
