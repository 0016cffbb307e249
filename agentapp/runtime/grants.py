"""What the principal of a task may do now, as it is when a body asks."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from agentapp.errors import PermissionDenied
from agentapp.lifecycle.opened import Claimed
from agentapp.models import Workflow
from agentapp.policies.permissions import API_SCOPES, scopes_of_person


def scopes_of(job: Claimed) -> frozenset[str]:
    """Return the scopes of the key or the person behind a job's task. A task of the platform itself may do everything.

    Raises:
        PermissionDenied: the person is no longer a member of the tenant.
    """
    return _scopes(Workflow.objects.select_related("api_key", "user").get(pk=job.workflow_id))


def of_others(job: Claimed, tasks: Collection[UUID]) -> list[frozenset[str]]:
    """Return the scopes of the keys and persons behind these tasks, of each that is not behind the job's own."""
    rows = Workflow.objects.filter(pk__in=tasks).select_related("api_key", "user")
    named = {(task.api_key_id, task.user_id): task for task in rows}
    own = Workflow.objects.values_list("api_key_id", "user_id").get(pk=job.workflow_id)
    return [_scopes_if_any(task) for principal, task in named.items() if principal != own]


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
    if not task.user.is_active or not task.user.memberships.filter(tenant_id=task.tenant_id).exists():
        raise PermissionDenied(f"{task.user.get_username()} is no longer a member of this tenant.")
    return scopes_of_person(task.user.has_perm)
