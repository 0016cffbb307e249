"""Policies of approvals: kept and removed. Every change leaves a GateChange."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from agentapp.lifecycle import audit
from agentapp.models import ApprovalPolicy

Json = dict[str, Any]
NOT_SHOWN = frozenset({"id", "tenant", "updated_at"})


def fields_of(policy: ApprovalPolicy) -> Json:
    """What a policy says, as the audit keeps it; the tenant by its slug."""
    values = {field.name: getattr(policy, field.name) for field in policy._meta.fields if field.name not in NOT_SHOWN}
    return {"tenant": policy.tenant.slug if policy.tenant else None, **values}


def keep(policy: ApprovalPolicy, *, before: Json | None, actor: str, reason: str = "") -> ApprovalPolicy:
    """Make a policy or change one that said `before`; it holds for what is asked from now on.

    Raises:
        django.db.IntegrityError: there is one for the same tenant, workflow kind and kind of content.
    """
    with transaction.atomic():
        policy.save()
        _note(policy, "changed" if before else "created", before=before, actor=actor, reason=reason)
    return policy


def remove(policy: ApprovalPolicy, *, actor: str, reason: str = "") -> None:
    """Take a policy away; what it has asked keeps its rules."""
    with transaction.atomic():
        _note(policy, "deleted", before=fields_of(policy), actor=actor, reason=reason)
        policy.delete()


def _note(policy: ApprovalPolicy, action: str, *, before: Json | None, actor: str, reason: str) -> None:
    after = None if action == "deleted" else fields_of(policy)
    audit.note(target(policy), action, actor=actor, reason=reason, before=before, after=after)


def target(policy: ApprovalPolicy) -> str:
    """The name of a policy in the audit."""
    return f"approval policy {policy.pk}"
