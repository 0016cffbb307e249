"""Embedding by another model: start it for a tenant, see how far it is, stop it. For operators."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.db.models import Count

from agentapp.dispatch import publisher
from agentapp.errors import IllegalMove, InvalidInput
from agentapp.lifecycle import vectors
from agentapp.lifecycle.cancel import cancel
from agentapp.models import Tenant, Workflow
from agentapp.policies.counting import count
from agentapp.retrieval import embedding

ACTOR = "command:reembed"


@dataclass(frozen=True)
class Status:
    """How far a tenant is. `spaces` counts the texts by model and dimension of the vectors that they were stored with;
    `done` of `texts` have one of the configured model."""

    tenant: Tenant
    model: str
    in_use: str
    texts: int
    done: int
    spaces: dict[tuple[str, int], int]
    task: Workflow | None

    @property
    def sentences(self) -> list[str]:
        said = [f"{self.tenant.slug}: {self.done} of {count(self.texts, 'text')} have a vector of {self.model}."]
        if self.in_use != self.model:
            said.append(f"Documents are searched by vectors of {self.in_use}.")
        if bare := self.spaces.get(("", 0)):
            said.append(f"{count(bare, 'text')} {'was' if bare == 1 else 'were'} stored without a vector.")
        if len(dimensions := sorted(size for name, size in self.spaces if name == self.model)) > 1:
            said.append(f"Vectors of {self.model} have different dimensions: {', '.join(map(str, dimensions))}.")
        if self.task:
            jobs = f"{self.task.jobs_done} of {count(self.task.jobs_total, 'job')} are done"
            said.append(f"Task {self.task.pk} is {self.task.state}: {jobs}.")
        return said


def tenants() -> list[Tenant]:
    """The tenants that have texts, by name."""
    return [tenant for tenant in Tenant.objects.order_by("slug") if _has_texts(tenant.pk)]


def start(tenant_id: int) -> UUID | None:
    """Start the task that embeds again what needs it; None where one is open already.

    Raises:
        InvalidInput: no embedding model is configured.
    """
    if not embedding.model_name():
        raise InvalidInput("No embedding model is configured: set AGENTAPP_EMBEDDING_URL and AGENTAPP_EMBEDDING_MODEL.")
    begun = vectors.begin(tenant_id, actor=ACTOR)
    if begun is None:
        return None
    workflow, opened = begun
    publisher.publish(opened)
    return workflow.pk


def stop(tenant_id: int) -> UUID | None:
    """Cancel the task that is open; what is embedded by then is not embedded again. None where there is none."""
    task = vectors.open_task(tenant_id)
    if task is None:
        return None
    try:
        cancel(task.pk, actor=ACTOR, reason="stopped by an operator")
    except IllegalMove:
        return None
    return task.pk


def status(tenant: Tenant) -> Status:
    model = embedding.model_name()
    spaces: dict[tuple[str, int], int] = {}
    texts = done = 0
    for rows in (vectors.passages(tenant.pk), vectors.facts(tenant.pk)):
        grouped = rows.order_by().values_list("embedding_model", "embedding_dimension", "next_model")
        for name, dimension, following, number in grouped.annotate(number=Count("pk")):
            spaces[name, dimension] = spaces.get((name, dimension), 0) + number
            texts += number
            done += number if model in (name, following) else 0
    in_use = vectors.model_in_use(vectors.passages(tenant.pk), model)
    return Status(tenant, model, in_use, texts, done, spaces, vectors.open_task(tenant.pk))


def _has_texts(tenant_id: int) -> bool:
    return vectors.passages(tenant_id).exists() or vectors.facts(tenant_id).exists()
