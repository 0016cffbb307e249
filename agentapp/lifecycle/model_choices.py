"""Choices of models: kept and removed, with the limits of what they name. Every change leaves a GateChange."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from agentapp import registry
from agentapp.lifecycle import audit, database, gates, leadership
from agentapp.models import ModelChoice, Tenant

Json = dict[str, Any]
NOT_SHOWN = frozenset({"id", "tenant", "updated_at"})


def fields_of(choice: ModelChoice) -> Json:
    """What a choice says, as the audit keeps it; the tenant by its slug."""
    values = {field.name: getattr(choice, field.name) for field in choice._meta.fields if field.name not in NOT_SHOWN}
    return {"tenant": choice.tenant.slug if choice.tenant else None, **values}


def keep(choice: ModelChoice, *, before: Json | None, actor: str, reason: str = "") -> ModelChoice:
    """Make a choice or change one that said `before`; it holds from the next claim on.

    Raises:
        django.db.IntegrityError: there is one for the same tenant and job type.
    """
    with transaction.atomic():
        choice.save()
        _note(choice, "changed" if before else "created", before=before, actor=actor, reason=reason)
        gates.know(f"model:{name}" for name in (choice.limit_name, choice.fallback_limit_name) if name)
        _forget(before)
        leadership.notify()
    return choice


def remove(choice: ModelChoice, *, actor: str, reason: str = "") -> None:
    """Take a choice away; the next one that fits holds in its place, or the settings."""
    with transaction.atomic():
        before = fields_of(choice)
        _note(choice, "deleted", before=before, actor=actor, reason=reason)
        choice.delete()
        _forget(before)
        leadership.notify()


def _forget(before: Json | None) -> None:
    """Jobs that no choice holds for any more must not go on waiting for a model that one named."""
    if before is None:
        return
    tenant = Tenant.objects.filter(slug=before["tenant"]).values_list("pk", flat=True).first()
    names = [name for name in (before["limit_name"], before["fallback_limit_name"]) if name]
    database.call(
        "forget_choice", models=names, tenant=tenant, type=before["job_type"], asking=registry.asking()
    )  # fmt: skip


def _note(choice: ModelChoice, action: str, *, before: Json | None, actor: str, reason: str) -> None:
    after = None if action == "deleted" else fields_of(choice)
    audit.note(target(choice), action, actor=actor, reason=reason, before=before, after=after)


def target(choice: ModelChoice) -> str:
    """The name of a choice in the audit."""
    return f"model choice of {choice}"
