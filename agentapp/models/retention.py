"""What may not be deleted yet, and what was erased."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from agentapp.models.tenant import Tenant
from agentapp.models.workflow import Workflow
from agentapp.policies import labels
from agentapp.states import WorkflowState

# The states in which a task is over. One that needs attention is not: a person must see it.
RETAINED = (WorkflowState.COMPLETED, WorkflowState.CANCELLED, WorkflowState.FAILED)


class LegalHold(models.Model):
    """While it is there, nothing that it covers is deleted: by retention, an erase or a person. It covers one task,
    what names one customer, the tasks with a label, or else all of its tenant."""

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+", db_index=False)
    # No database constraint: a check per deleted task, in the release before too, which knows no holds.
    workflow = models.ForeignKey(
        Workflow, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_constraint=False,
        help_text="empty: not one task",
    )  # fmt: skip
    # To the release before this one, which knows neither, such a hold keeps all of the tenant.
    customer = models.CharField(
        max_length=320, blank=True, default="", db_default="", help_text="as memories name them"
    )
    label_name = models.CharField(max_length=100, blank=True, default="", db_default="")
    label_value = models.CharField(max_length=100, blank=True, default="", db_default="")
    reason = models.CharField(max_length=300)
    placed_by = models.CharField(max_length=200)
    placed_at = models.DateTimeField()

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("tenant", "workflow", "customer", "label_name", "label_value"),
                name="legal_hold_of_each_once", nulls_distinct=False,
            ),
        )  # fmt: skip

    def __str__(self) -> str:
        return f"legal hold on {self.covers}"

    @property
    def covers(self) -> str:
        """What it keeps, in words."""
        if self.workflow_id:
            return f"the task {self.workflow_id}"
        if self.customer:
            return f"the customer {self.customer}"
        return (
            f"the label {labels.written(self.label_name, self.label_value)}" if self.label_name else "the whole tenant"
        )


class RetentionRule(models.Model):
    """How long tasks are kept after they ended in a state, in the place of the setting for that state: those of one
    kind, of all tenants or of one; or those of all kinds of one tenant."""

    tenant = models.ForeignKey(
        Tenant, on_delete=models.PROTECT, null=True, blank=True, related_name="+", help_text="empty: all tenants"
    )
    # The release before this one reads no tenant. The number of the tenant stands before its kinds (`rule_kind`), so
    # that no task has a kind of this name: that release leaves the tasks of the tenant to its other rules.
    kind = models.CharField(max_length=100, help_text="a workflow kind; of a tenant's rule with its number before it")
    state = models.CharField(max_length=20, choices=[(state.value, state.value) for state in RETAINED])
    days = models.IntegerField(help_text="0: forever")
    note = models.CharField(max_length=300, blank=True, help_text="why it is so")
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("kind", "state"), name="retention_rule_once"),)

    def __str__(self) -> str:
        tasks = f"{self.only_kind or 'all kinds'} {self.state}"
        return f"{tasks} in {self.tenant.slug}" if self.tenant else tasks

    @property
    def only_kind(self) -> str:
        """The workflow kind of its tasks; "" for all kinds of its tenant."""
        return self.kind.rpartition("/")[2]


def rule_kind(tenant: Tenant | None, kind: str) -> str:
    """What the column `kind` of a rule holds."""
    return f"{tenant.pk}/{kind}" if tenant else kind


class PrunedTasks(models.Model):
    """How many tasks of one tenant, kind and state retention has deleted in one day (UTC)."""

    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="+", db_index=False)
    day = models.DateField()
    kind = models.CharField(max_length=100)
    state = models.CharField(max_length=20)
    tasks = models.IntegerField()
    last_at = models.DateTimeField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=("day", "tenant", "kind", "state"), name="pruned_tasks_once"),)

    def __str__(self) -> str:
        return f"{self.tasks} {self.kind} {self.state} on {self.day}"


class Erasure(models.Model):
    """That a tenant, or one customer of a tenant, was erased: when, by whom and how many rows. It names nobody: of the
    tenant there is a number, of the customer a keyed hash."""

    tenant_number = models.BigIntegerField()
    about_hash = models.CharField(max_length=64, blank=True, help_text="of the customer; empty: the whole tenant")
    actor = models.CharField(max_length=200)
    began_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    removed = models.JSONField(default=dict, help_text="rows and files that went, by table")

    class Meta:
        constraints = (
            # An erase that was stopped goes on with its own row.
            models.UniqueConstraint(
                fields=("tenant_number", "about_hash"), condition=Q(finished_at=None), name="erasure_one_open"
            ),
        )

    def __str__(self) -> str:
        return f"erasure {self.pk}"
