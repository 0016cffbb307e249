"""The question whether a permission that was taken away stops what was queued before."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from django.db import transaction

from agentapp.drill.answers import Red
from agentapp.drill.ground import Ground
from agentapp.models import Attempt, Effect, Job, Tenant, Workflow
from agentapp.models.tenant import DRILL
from agentapp.services import api_keys

TASKS = 10
SCOPE = "tasks:write"


def at_execution(ground: Ground) -> str:
    """The key of queued tasks is revoked: each becomes a dead letter at its claim, and sends nothing. [H3]"""
    tasks = _submit_and_revoke(ground)
    ground.reach(tasks, "needs_attention")
    return judged([task.pk for task in tasks])


def judged(tasks: Collection[UUID]) -> str:
    """Say in one line how tasks ended whose key was revoked before they ran.

    Raises:
        Red: a job was tried, or failed with something else, or had an effect.
    """
    jobs = list(Job.objects.filter(workflow__in=tasks, type="drill_send"))
    kinds = sorted({str((job.error or {}).get("kind")) for job in jobs})
    attempts = Attempt.objects.filter(job__in=jobs).count()
    effects = Effect.objects.filter(workflow_id__in=tasks).count()
    found = (
        f"{len(jobs)} jobs of a revoked key: {attempts} attempts, {effects} effects, dead letters of the class "
        f"{', '.join(kinds)}"
    )
    if (kinds, attempts, effects) != (["permission"], 0, 0):
        raise Red(found)
    return found


def _submit_and_revoke(ground: Ground) -> list[Workflow]:
    """Submit tasks with a key of their own and revoke it in the same commit: no worker is quicker than that."""
    tenant = Tenant.objects.get(slug=DRILL)
    with transaction.atomic():
        key, _ = api_keys.create(tenant=tenant, name=f"drill {ground.label}", scopes=[SCOPE])
        tasks = [ground.submit("drill_send") for _ in range(TASKS)]
        # Keys of clients cannot submit this kind.
        Workflow.objects.filter(pk__in=[task.pk for task in tasks]).update(api_key=key)
        api_keys.revoke(key)
    return tasks
