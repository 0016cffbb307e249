"""What the principal of a task may do now, as it is when a body asks."""

from __future__ import annotations

from agentapp.errors import PermissionDenied
from agentapp.lifecycle.opened import Claimed
from agentapp.models import Workflow
from agentapp.policies.permissions import API_SCOPES, scopes_of_person


def scopes_of(job: Claimed) -> frozenset[str]:
    """Return the scopes of the key or the person behind a job's task. A task of the platform itself may do everything.

    Raises:
        PermissionDenied: the person is no longer a member of the tenant.
    """
    task = Workflow.objects.select_related("api_key", "user").get(pk=job.workflow_id)
    if task.api_key is not None:
        return frozenset(task.api_key.scopes)
    if task.user is None or (task.user.is_active and task.user.is_superuser):
        return frozenset(API_SCOPES)
    if not task.user.is_active or not task.user.memberships.filter(tenant_id=job.tenant_id).exists():
        raise PermissionDenied(f"{task.user.get_username()} is no longer a member of this tenant.")
    return scopes_of_person(task.user.has_perm)
