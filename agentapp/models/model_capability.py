"""What we have learned about how models want to be asked."""

from __future__ import annotations

from django.db import models


class ModelCapability(models.Model):
    """What a provider's refusals have taught about one of its models; it is learned again when it has grown old.

    Delete a row to learn it again at once: `agentapp/llm/learned.py` reads it.
    """

    base_url = models.CharField(max_length=500)
    model = models.CharField(max_length=200)
    learned = models.JSONField(default=dict)
    learned_at = models.DateTimeField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=("base_url", "model"), name="model_capability_once"),)

    def __str__(self) -> str:
        return f"{self.model} at {self.base_url}"
