"""What may not be deleted yet, and what was erased."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from agentapp.models.tenant import Tenant
from agentapp.models.workflow import Workflow
from agentapp.states import WorkflowState

# The states in which a task is over. One that needs attention is not: a person must see it.
RETAINED = (WorkflowState.COMPLETED, WorkflowState.CANCELLED, WorkflowState.FAILED)


class LegalHold(models.Model):
    """While it is there, nothing of its tenant, or of its one task, is deleted: by retention, an erase or a person."""

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+", db_index=False)
    # No database constraint: a check per deleted task, in the release before too, which knows no holds.
    workflow = models.ForeignKey(
        Workflow, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_constraint=False,
        help_text="empty: all of the tenant",
    )  # fmt: skip
    reason = models.CharField(max_length=300)
    placed_by = models.CharField(max_length=200)
    placed_at = models.DateTimeField()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("tenant", "workflow"), name="legal_hold_once", nulls_distinct=False),
        )

    def __str__(self) -> str:
        return f"legal hold of {self.workflow_id or self.tenant_id}"


class RetentionRule(models.Model):
    """How long tasks of one kind are kept after they ended in a state, in the place of the setting for that state."""

    kind = models.CharField(max_length=100, help_text="a workflow kind")
    state = models.CharField(max_length=20, choices=[(state.value, state.value) for state in RETAINED])
    days = models.IntegerField(help_text="0: forever")
    note = models.CharField(max_length=300, blank=True, help_text="why it is so")
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("kind", "state"), name="retention_rule_once"),)

    def __str__(self) -> str:
        return f"{self.kind} {self.state}"


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
