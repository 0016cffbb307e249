"""Records as JSON objects. Times are RFC 3339 in UTC with a Z."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar, cast, overload

from agentapp.api.answers import dead_letters as of_dead_letters
from agentapp.api.answers import tasks as of_tasks
from agentapp.api.answers.notices import Notice
from agentapp.models import Attempt, BulkCancellation, BulkReplay, Job, Message, Workflow
from agentapp.models.attempt import attempts_of
from agentapp.policies import moments, priority
from agentapp.services import bulk_replays, letter_groups, reasons, workflows
from agentapp.services import messages as said
from agentapp.states import JobState, Origin, WorkflowState

Shape = dict[str, Any]
Row = TypeVar("Row")
Answer = TypeVar("Answer")
# Why it is in this state; what has come of earlier attempts is in `attempts`.
SHOWS_ERROR = (JobState.RETRYABLE, JobState.DEAD_LETTERED, JobState.CANCELLED)


@overload
def time(moment: datetime) -> str: ...


@overload
def time(moment: datetime | None) -> str | None: ...


def time(moment: datetime | None) -> str | None:
    """Return for instance 2025-01-31T08:00:00.123456Z."""
    return moments.written(moment) if moment else None


def moment(text: str | None) -> datetime | None:
    """Read what `time` has written."""
    return datetime.fromisoformat(text) if text else None


def each(shape: Callable[[Row], Answer]) -> Callable[[list[Row]], list[Answer]]:
    """Return the shaping of a list for that of one row."""
    return lambda rows: [shape(row) for row in rows]


def tasks(rows: list[Workflow]) -> list[of_tasks.Task]:
    waits = reasons.blocked_by(rows)
    return [_task(row, waits[row.pk]) for row in rows]


def task(row: Workflow) -> of_tasks.Task:
    return tasks([row])[0]


def accepted(answer: workflows.Accepted) -> of_tasks.Task:
    """Return a task that was just accepted; where all of it is published, without asking the database once more."""
    row, opened = answer.workflow, answer.opened
    if answer.is_repeated or row.state != WorkflowState.PENDING or opened.held:
        shape = task(row)
        shape["estimated_start_at"] = shape["estimated_start_at"] or time(answer.estimated_start_at)
        return shape
    published = {"type": "queue", "since": row.created_at, "position": 0}
    queued = [published | {"queue": job.queue, "job": job.id, "job_type": job.type} for job in opened.jobs]
    shape = _task(row, queued)
    shape["estimated_start_at"] = time(answer.estimated_start_at)
    return shape


def _task(row: Workflow, blocked_by: list[Shape]) -> of_tasks.Task:
    return {
        "id": str(row.pk),
        "kind": row.kind,
        "version": row.version,
        "state": row.state,
        "priority": priority.name_of(row.priority),
        "progress": {
            "stage": row.position,
            "stages": row.stages_total,
            "jobs_done": row.jobs_done,
            "jobs": row.jobs_total,
        },
        "blocked_by": [_with_times(reason) for reason in blocked_by],
        "estimated_start_at": time(reasons.starts_at(blocked_by)) if row.started_at is None else None,
        "input": row.input,
        "result": row.result,
        "error": row.error,
        "labels": row.labels,
        "notices": [_notice(each) for each in row.notices or ()],
        "cost": {"tokens": row.tokens, "usd": float(row.cost_usd), "unpriced_calls": row.unpriced_calls},
        "risk": row.risk,
        "callback_url": row.callback_url or None,
        "forked_from": str(row.forked_from) if row.forked_from else None,
        "continues": str(row.continues) if row.continues else None,
        "schedule": str(row.parent) if row.origin == Origin.SCHEDULE and row.parent else None,
        "parent": str(row.parent) if row.origin == Origin.CHILD and row.parent else None,
        "created_at": time(row.created_at),
        "run_at": time(row.run_at),
        "started_at": time(row.started_at),
        "deadline_at": time(row.deadline_at),
        "finished_at": time(row.finished_at),
    }


def _notice(kept: Shape) -> Notice:
    at = time(datetime.fromisoformat(kept["at"]))
    return {"at": at, "by": kept["by"], "job": kept["job"], "text": kept["text"]}


def messages(rows: list[Message]) -> list[of_tasks.Message]:
    read_by = said.read_by(rows)
    return [
        {
            "id": str(row.pk),
            "task": str(row.workflow_id),
            "number": row.number,
            "text": row.text,
            "untrusted": row.is_untrusted,
            "said_by": row.actor,
            "created_at": time(row.created_at),
            "read_by_turn": read_by.get(row.pk),
        }
        for row in rows
    ]


def job(row: Job) -> of_tasks.Job:
    """Return a job as lists show it: without its payload. What its row keeps of an earlier attempt is in `attempts`."""
    was_claimed = row.state not in (JobState.PENDING, JobState.AVAILABLE, JobState.SCHEDULED)
    return {
        "id": str(row.pk),
        "task": str(row.workflow_id),
        "type": row.type,
        "queue": row.queue,
        "state": row.state,
        "stage": row.stage.name,
        "part": row.part,
        "attempt": row.attempt,
        "max_attempts": row.max_attempts,
        "output": row.output,
        "error": row.error if row.state in SHOWS_ERROR else None,
        "scheduled_at": time(row.scheduled_at),
        "available_at": time(row.available_at),
        "started_at": time(row.started_at) if was_claimed else None,
        "finished_at": time(row.finished_at),
        "worker": (row.worker or None) if was_claimed else None,
        "attempts": [attempt(item) for item in attempts_of(row)],
    }


def whole_job(row: Job) -> of_tasks.WholeJob:
    """Return a job with its payload."""
    return {**job(row), "payload": row.payload}


def dead_letter(row: Job) -> of_dead_letters.DeadLetter:
    """Return a dead letter: a whole job with the fingerprint of its failure."""
    return {**whole_job(row), "fingerprint": letter_groups.fingerprint_of(row)}


def dead_letter_group(group: letter_groups.Group) -> of_dead_letters.DeadLetterGroup:
    return {
        "fingerprint": group.fingerprint,
        "type": group.type,
        "kind": group.kind,
        "error": {"class": group.error_class, "message": group.message},
        "hint": {"cause": group.hint.cause, "remedy": group.hint.remedy},
        "count": group.count,
        "first_seen": time(group.first_seen),
        "last_seen": time(group.last_seen),
        "hours": {"since": time(group.since), "counts": list(group.hours)},
        "in_doubt": group.is_in_doubt,
    }


def bulk_replay(row: BulkReplay) -> of_dead_letters.BulkReplay:
    return {
        "id": str(row.pk),
        "state": row.state,
        "fingerprint": row.selection.get("fingerprint"),
        "type": row.selection["job_type"],
        "total": row.selection["total"],
        "left_out": row.selection["left_out"],
        # Rows of the release before have none.
        "in_doubt": row.selection.get("in_doubt", 0),
        "waiting": len(row.waiting),
        "under_way": len(row.replayed),
        "succeeded": row.succeeded,
        "failed": row.failed,
        "skipped": bulk_replays.skipped(row),
        "canary": row.canary,
        "batch": row.batch,
        "started_by": row.actor,
        "reason": row.reason or None,
        "created_at": time(row.created_at),
        "finished_at": time(row.finished_at),
    }


def bulk_cancellation(row: BulkCancellation) -> of_tasks.BulkCancellation:
    return {
        "id": str(row.pk),
        "state": row.state,
        "filter": row.selection["filter"],
        "total": row.selection["total"],
        "left_out": row.selection["left_out"],
        "waiting": len(row.waiting),
        "cancelled": row.cancelled,
        "skipped": row.skipped,
        "failed": row.failed,
        "started_by": row.actor,
        "task_reason": row.task_reason or None,
        "reason": row.reason or None,
        "created_at": time(row.created_at),
        "finished_at": time(row.finished_at),
    }


def attempt(row: Attempt) -> of_tasks.Attempt:
    """Return one execution. The trace stays with the people who run the service."""
    error: of_tasks.AttemptError | None = None
    if row.error_class:
        error = {"class": row.error_class, "message": row.error_message}
    return {
        "number": row.number,
        "replay": row.replay,
        "worker": row.worker,
        "started_at": time(row.started_at),
        "finished_at": time(row.finished_at),
        "outcome": row.outcome or None,
        "error": error,
    }


def _with_times(reason: Shape) -> of_tasks.BlockedBy:
    shown: Shape = {name: time(value) if isinstance(value, datetime) else value for name, value in reason.items()}
    if "holders" in shown:
        shown["holders"] = [holder | {"since": time(holder["since"])} for holder in shown["holders"]]
    # Its fields are those that Postgres wrote.
    return cast("of_tasks.BlockedBy", shown)
