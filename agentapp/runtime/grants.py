"""What the principal of a task may do now, as it is when a body asks."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from django.db.models import QuerySet

from agentapp.errors import PermissionDenied
from agentapp.lifecycle.opened import Claimed
from agentapp.models import Workflow
from agentapp.policies.permissions import API_SCOPES, scopes_of_member

# What a worker may read of keys and people: no hash of a secret.
_READ = (
    "tenant_id", "forked_from", "root", "api_key__scopes", "user__username", "user__is_active", "user__is_superuser",
)  # fmt: skip


def _tasks() -> QuerySet[Workflow]:
    return Workflow.objects.select_related("api_key", "user").only(*_READ)


def scopes_of(job: Claimed) -> frozenset[str]:
    """Return the scopes of the key or the person behind a job's task. A task of the platform itself may do everything.

    Raises:
        PermissionDenied: the person is no longer a member of the tenant.
    """
    return _scopes(_tasks().get(pk=job.workflow_id))


def of_others(job: Claimed, tasks: Collection[UUID]) -> list[frozenset[str]]:
    """Return the scopes of the keys and persons behind these tasks, and behind those that they and the job's own were
    forked from; of each that is not behind the job's own."""
    rows = _tasks()
    found = {task.pk: task for task in rows.filter(pk__in=[*tasks, job.workflow_id])}
    own = found[job.workflow_id]
    if origins := {origin for task in found.values() for origin in (task.forked_from, task.root) if origin}:
        found |= {task.pk: task for task in rows.filter(pk__in=origins)}
    named = {(task.api_key_id, task.user_id): task for task in found.values()}
    mine = (own.api_key_id, own.user_id)
    return [_scopes_if_any(task) for principal, task in named.items() if principal != mine]


def _scopes_if_any(task: Workflow) -> frozenset[str]:
    try:
        return _scopes(task)
    except PermissionDenied:
        return frozenset()


def _scopes(task: Workflow) -> frozenset[str]:
    if task.api_key is not None:
        return frozenset(task.api_key.scopes)
    if task.user is None or (task.user.is_active and task.user.is_superuser):
        return frozenset(API_SCOPES)
    membership = task.user.memberships.filter(tenant_id=task.tenant_id).first() if task.user.is_active else None
    if membership is None:
        raise PermissionDenied(f"{task.user.get_username()} is no longer a member of this tenant.")
    return scopes_of_member(task.user.has_perm, membership.role, sees_payloads=membership.sees_payloads)
