"""Where a customer of a tenant is named: in which tasks, and in which rows beside them.

A customer is a mail address, or another word that names one person. It is found as a word of its own, in any case,
in every text and every JSON of every table that belongs to the tenant. A task that names them goes as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Exists, Model, OuterRef, Q, QuerySet
from django.utils.crypto import salted_hmac

from agentapp import models
from agentapp.lifecycle import erase, texts
from agentapp.models import Tenant, Workflow
from agentapp.policies import naming

# What leads to a task by a number alone, beside what goes with it.
BY_NUMBER: dict[type[Model], str] = {
    models.ModelCall: "workflow_id", models.Effect: "workflow_id", models.IdempotencyKey: "workflow_id",
    models.WebhookEvent: "workflow_id", models.WebhookDelivery: "event__workflow_id",
}  # fmt: skip
# What people have set up: it is counted, and stays.
SET_UP = (
    models.WebhookEndpoint, models.ToolServer, models.ServerTool, models.ModelChoice, models.ApprovalPolicy,
    models.Delegation, models.Membership, models.ApiKey, models.RetentionRule,
)  # fmt: skip


@dataclass(frozen=True)
class Customer:
    tenant: Tenant
    about: str

    def digest(self) -> str:
        """What is kept of whom it was: who knows the name can tell, nobody else."""
        return salted_hmac(
            "agentapp.erase_customer", f"{self.tenant.pk} {naming.folded(self.about)}", algorithm="sha256"
        ).hexdigest()

    def named_in(self, model: type[Model], path: str) -> QuerySet[Any]:
        """The rows of a table of the tenant that name the customer."""
        return self.named_anywhere(model).filter(**{path: self.tenant})

    def named_anywhere(self, model: type[Model]) -> QuerySet[Any]:
        """The rows of a table, whosever they are."""
        return texts.rows_matching(model, naming.pattern(self.about))

    def tasks(self) -> set[UUID]:
        """The tasks that name them, those that go on with one of these or were made of it, and deliveries of their
        webhooks. A task whose steps are gone already was being erased."""
        found: set[UUID] = set()
        for model, path in _WITH_A_TASK.items():
            rows = self.named_in(model, _path_to_tenant(model))
            found |= set(rows.order_by().values_list(path, flat=True).distinct())
        mine = Workflow.objects.filter(tenant=self.tenant)
        steps, past = (
            model._default_manager.filter(workflow=OuterRef("pk")) for model in (models.Stage, models.History)
        )
        found |= set(mine.filter(~Exists(steps), ~Exists(past), finished_at__isnull=False).values_list("pk", flat=True))
        found.discard(None)  # of a model call without a task
        fresh = found
        while fresh:
            made = Q(forked_from__in=fresh) | Q(continues__in=fresh) | Q(parent__in=fresh, origin="child")
            sent = models.WebhookDelivery.objects.filter(tenant=self.tenant, event__workflow_id__in=fresh)
            fresh = {*mine.filter(made).values_list("pk", flat=True), *sent.values_list("workflow_id", flat=True)}
            fresh, found = fresh - found, found | fresh
        return set(mine.filter(pk__in=found).values_list("pk", flat=True))


_WITH_A_TASK: dict[type[Model], str] = {**texts.OF_TASK, **BY_NUMBER}


def _path_to_tenant(model: type[Model]) -> str:
    return "tenant" if model in (Workflow, models.Artifact) else (erase.WITH_TASK.get(model) or erase.ROWS[model])
