"""Why tasks wait, in data: `blocked_by` of a task."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet, Window
from django.db.models.functions import RowNumber

from agentapp import ids
from agentapp.errors import BeingSent, TaskIsOpen
from agentapp.models import Approval, Job, Workflow
from agentapp.services import gates
from agentapp.states import ApprovalState, JobState, WorkflowState

MOST_REASONS = 20
SHOWN_OF_A_JOB = (
    "workflow", "type", "queue", "state", "error", "attempt", "replay", "scheduled_at", "available_at", "blocked_by",
)  # fmt: skip
# Of a long list of tasks, so many jobs are explained by their gates; the others just wait in their queue.
MOST_EXPLAINED = 200
EXPLAINED = (JobState.AVAILABLE, JobState.SCHEDULED)
MAY_QUEUE = (WorkflowState.PENDING, WorkflowState.RUNNING, WorkflowState.NEEDS_ATTENTION)
WAITING = (JobState.DEAD_LETTERED, JobState.RETRYABLE, JobState.SCHEDULED, JobState.AVAILABLE)


def blocked_by(found: list[Workflow]) -> dict[UUID, list[dict[str, Any]]]:
    """Say why each of these tasks waits: a person, a dead letter, a retry time, an effect on its way, a gate, a queue.
    Three statements for all.

    Empty for a task that runs or is over; at most twenty reasons for one that fans out.
    """
    reasons: dict[UUID, list[dict[str, Any]]] = {workflow.pk: [] for workflow in found}
    for workflow in found:
        if workflow.state == WorkflowState.SCHEDULED:
            reasons[workflow.pk].append({"type": "time", "until": workflow.run_at})
    deciding = [workflow.pk for workflow in found if workflow.state == WorkflowState.AWAITING_APPROVAL]
    if deciding:
        for approval in Approval.objects.filter(workflow__in=deciding, state=ApprovalState.PENDING):
            reason = {"type": "approval", "id": str(approval.pk), "expires_at": approval.expires_at}
            reasons[approval.workflow_id].append(reason)
    working = [workflow.pk for workflow in found if workflow.state in MAY_QUEUE]
    if working:
        shown: dict[UUID, list[Job]] = defaultdict(list)
        for job in _first_waiting(working):
            shown[job.workflow_id].append(job)
        told = gates.why([job.pk for jobs in shown.values() for job in jobs if _is_explained(job)][:MOST_EXPLAINED])
        for workflow_id, jobs in shown.items():
            every = [reason for job in jobs for reason in _why(job, told.get(job.pk, []))]
            reasons[workflow_id] += every[:MOST_REASONS]
    return reasons


def _is_explained(job: Job) -> bool:
    """Whether its gates or its queue tell why it waits."""
    return job.state in EXPLAINED and not _is_held(job)


def _is_held(job: Job) -> bool:
    """Whether it waits for the end of a send hold only."""
    return job.state == JobState.SCHEDULED and any(reason.get("type") == "hold" for reason in job.blocked_by or ())


def _question(job: Job) -> dict[str, Any] | None:
    """What a job waits for that has asked a person; None where it waits for something else."""
    first: dict[str, Any] = next(iter(job.blocked_by or ()), {})
    return first if first.get("type") == "approval" else None


def _moment(said: str | None) -> datetime | None:
    return datetime.fromisoformat(said) if said else None


def _first_waiting(workflow_ids: list[UUID]) -> QuerySet[Job]:
    """The first jobs of each task that wait, as many as are shown, and of them no more than is shown."""
    place = Window(RowNumber(), partition_by="workflow", order_by="id")
    waiting = Job.objects.filter(workflow__in=workflow_ids, state__in=WAITING).annotate(place=place)
    return waiting.filter(place__lte=MOST_REASONS).order_by("id").only(*SHOWN_OF_A_JOB)


def starts_at(reasons: list[dict[str, Any]]) -> datetime | None:
    """When a task that has not begun should begin, as far as what it waits for tells."""
    moments = [
        reason["until"] for reason in reasons if reason.get("until") and reason["type"] in ("time", "gate", "queue")
    ]
    return max(moments, default=None)


def _why(job: Job, told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The reasons of one job; `told` are those that its gates or its queue have told."""
    if told:
        return [_timed(reason) | {"job": str(job.pk), "job_type": job.type} for reason in told]
    return [_of_state(job)]


def _timed(reason: dict[str, Any]) -> dict[str, Any]:
    for holder in reason.get("holders", ()):
        holder["since"] = datetime.fromisoformat(holder["since"])
    times = {name: datetime.fromisoformat(reason[name]) for name in ("since", "until") if reason.get(name)}
    return {name: value for name, value in reason.items() if value is not None} | times


def _of_state(job: Job) -> dict[str, Any]:
    if job.state == JobState.DEAD_LETTERED:
        return {
            "type": "dead_letter",
            "id": str(job.pk),
            "job_type": job.type,
            "error": (job.error or {}).get("message"),
        }
    if _is_held(job):
        return {"type": "hold", "job": str(job.pk), "job_type": job.type, "until": job.scheduled_at}
    if job.state == JobState.AVAILABLE:
        return {
            "type": "queue",
            "job": str(job.pk),
            "job_type": job.type,
            "queue": job.queue,
            "since": job.available_at,
        }
    if job.state == JobState.RETRYABLE and (question := _question(job)):
        return {
            "type": "approval", "id": str(question["id"]), "expires_at": _moment(question.get("expires_at")),
            "job": str(job.pk), "job_type": job.type,
        }  # fmt: skip
    if (job.error or {}).get("class") == BeingSent.__name__:
        return {"type": "effect", "job": str(job.pk), "job_type": job.type, "until": job.scheduled_at}
    if (job.error or {}).get("class") == TaskIsOpen.__name__:
        return {"type": "task", "id": str(ids.of_child(job.pk, job.replay)), "job": str(job.pk)}
    return {
        "type": "retry",
        "job": str(job.pk),
        "job_type": job.type,
        "attempt": job.attempt,
        "until": job.scheduled_at,
    }
