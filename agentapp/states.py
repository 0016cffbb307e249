"""The states and the legal moves between them, as data.

`agentapp.lifecycle` is the only writer; docs/states.md is generated from here; tests walk every history along these
moves.
"""

from __future__ import annotations

from django.db.models import TextChoices


class Origin(TextChoices):
    """Who asked for a workflow. A tenant's lists, quotas and webhooks know only those of TASK_ORIGINS."""

    CLIENT = "client"
    WEBHOOK = "webhook"
    SCHEDULE = "schedule"
    DRILL = "drill"
    CHILD = "child"
    DOCUMENT = "document"
    TOOL_SERVER = "tool_server"
    NOTICE = "notice"


# Of what a tenant sees as its tasks: in its lists, quotas and webhooks.
TASK_ORIGINS = (Origin.CLIENT, Origin.SCHEDULE)


class WorkflowState(TextChoices):
    SCHEDULED = "scheduled"
    PENDING = "pending"
    RUNNING = "running"
    AWAITING_APPROVAL = "awaiting_approval"
    NEEDS_ATTENTION = "needs_attention"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class JobState(TextChoices):
    PENDING = "pending"
    AVAILABLE = "available"
    SCHEDULED = "scheduled"
    RUNNING = "running"
    RETRYABLE = "retryable"
    COMPLETED = "completed"
    DEAD_LETTERED = "dead_lettered"
    CANCELLED = "cancelled"


class ApprovalState(TextChoices):
    PENDING = "pending"
    APPROVED = "approved"
    CHANGES_REQUESTED = "changes_requested"
    REJECTED = "rejected"
    REOPENED = "reopened"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class EffectState(TextChoices):
    PREPARED = "prepared"
    SENT = "sent"
    CONFIRMED = "confirmed"
    UNKNOWN = "unknown"


class AttemptOutcome(TextChoices):
    """How one execution ended; an attempt that still runs has none."""

    COMPLETED = "completed"
    FAILED = "failed"
    LOST = "lost"
    CANCELLED = "cancelled"
    HANDED_BACK = "handed_back"


class DeliveryState(TextChoices):
    """How far a webhook delivery has come. It is read from the delivery's workflow and log, and stored nowhere."""

    PENDING = "pending"
    RETRYING = "retrying"
    DELIVERED = "delivered"
    GONE = "gone"
    SKIPPED = "skipped"
    DEAD_LETTERED = "dead_lettered"
    CANCELLED = "cancelled"


class BulkReplayState(TextChoices):
    CANARY = "canary"
    RUNNING = "running"
    DONE = "done"
    ABORTED = "aborted"


class DocumentState(TextChoices):
    PROCESSING = "processing"
    READY = "ready"
    FAILED = "failed"


class CatchUp(TextChoices):
    """What becomes of the times of a schedule that were missed."""

    SKIP = "skip"
    ONCE = "once"
    ALL = "all"


class Overlap(TextChoices):
    """What a schedule does when its last task is not over yet."""

    SKIP = "skip"
    ALLOW = "allow"


class ScheduleRunOutcome(TextChoices):
    """What came of one time of a schedule."""

    STARTED = "started"
    SKIPPED = "skipped"
    FAILED = "failed"


class BulkCancellationState(TextChoices):
    RUNNING = "running"
    DONE = "done"
    ABORTED = "aborted"


class StageKind(TextChoices):
    JOB = "job"
    FAN_OUT = "fan_out"
    DECISION = "decision"


class GateScope(TextChoices):
    """What a gate counts by."""

    GLOBAL = "global"
    JOB_TYPE = "job_type"
    TENANT = "tenant"
    TOOL = "tool"
    MODEL = "model"
    BUDGET = "budget"


class ToolAccess(TextChoices):
    """What a person has said of a tool of a tool server; unknown counts as one that writes."""

    UNKNOWN = "unknown"
    READ = "read"
    WRITE = "write"


class KeyMode(TextChoices):
    """What people let through: all, what belongs to tasks that have begun, or nothing."""

    OPEN = "open"
    DRAINING = "draining"
    PAUSED = "paused"


class BreakerState(TextChoices):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


Moves = dict[str, dict[str, str]]

WORKFLOW_MOVES: Moves = {
    "": {"pending": "submitted", "scheduled": "submitted for later"},
    "scheduled": {
        "pending": "its time has come",
        "cancelled": "cancelled before its time",
        "failed": "a rule ended it",
    },
    "pending": {
        "running": "its first job was claimed",
        "awaiting_approval": "it begins with a decision",
        "completed": "it had nothing to do",
        "cancelled": "cancelled before it began",
        "failed": "a rule ended it",
        "needs_attention": "its first job could not begin and is a dead letter",
    },
    "running": {
        "running": "a person notified its client of a dead letter",
        "awaiting_approval": "a decision was opened",
        "needs_attention": "a job became a dead letter",
        "completed": "its last stage is done",
        "failed": "a rule ended it",
        "cancelled": "a person or client cancelled it",
    },
    "awaiting_approval": {
        "running": "a person decided, and the plan goes on",
        "awaiting_approval": "a person notified its client of a dead letter",
        "completed": "rejected",
        "failed": "the approval expired",
        "cancelled": "a person or client cancelled it",
    },
    "needs_attention": {
        "running": "no dead letter is left",
        "needs_attention": "a person notified its client of a dead letter",
        "completed": "the remaining parts were enough for its join",
        "failed": "a rule ended it",
        "cancelled": "a person or client cancelled it",
    },
}

JOB_MOVES: Moves = {
    "": {
        "pending": "planned",
        "available": "opened as part of a fan-out or as the first stage",
        "completed": "copied from the task that this one was forked from",
        "dead_lettered": "its stage could not be opened",
        "cancelled": "its stage has no job and was skipped",
    },
    "pending": {
        "available": "the stage before it is done",
        "running": "the stage before it is done, and its worker goes on with it in place",
        "cancelled": "its workflow was cancelled, or its stage was skipped",
        "dead_lettered": "its stage could not be opened",
    },
    "available": {
        "running": "claimed",
        "scheduled": "a gate was full, or its time has not come",
        "cancelled": "its workflow was cancelled",
        "dead_lettered": "permission is missing, or no worker claims it",
        "retryable": "what a person had approved for it was withdrawn",
        "pending": "the approval before it was withdrawn or opened again",
    },
    "scheduled": {
        "available": "due",
        "cancelled": "its workflow was cancelled",
        "retryable": "what a person had approved for it was withdrawn",
        "pending": "the approval before it was withdrawn",
    },
    "running": {
        "completed": "its body returned",
        "retryable": "its body failed and may be tried again, or asks a person",
        "available": "its worker was lost, or handed it back; or by its policy nobody need be asked",
        "dead_lettered": "its body failed for good, its output is of no use, or its attempts are used up",
        "cancelled": "its workflow was cancelled",
        "pending": "what it should send is not what was approved, or the approval was withdrawn",
    },
    "retryable": {
        "available": "its back-off is over, or what it had asked a person is decided",
        "cancelled": "its workflow was cancelled",
        "pending": "the approval before it was withdrawn",
    },
    "dead_lettered": {
        "available": "replayed",
        "completed": "finished by a person",
        "cancelled": "cancelled, or replayed from an earlier stage",
    },
}

APPROVAL_MOVES: Moves = {
    "": {"pending": "requested"},
    "pending": {
        "pending": "a person approved or edited it, and others must decide too; or one claimed, released or snoozed it",
        "approved": "as many people as its policy asks for, or the policy, approved these bytes",
        "changes_requested": "a person asked for another draft, or sources that it cites have changed",
        "rejected": "a person said no, or nobody decided in time",
        "expired": "nobody decided in time",
        "cancelled": "its workflow was cancelled, or its job does not ask it any more",
    },
    "approved": {"reopened": "it was withdrawn, or the content was no longer what was approved"},
}

DOCUMENT_MOVES: Moves = {
    "": {"processing": "a file was uploaded", "ready": "a text was loaded"},
    "processing": {
        "processing": "another file was uploaded meanwhile",
        "ready": "its text was indexed, or another text was loaded",
        "failed": "the file has no text that can be read",
    },
    "ready": {"processing": "a file was uploaded again", "ready": "another text was loaded"},
    "failed": {"processing": "a file was uploaded again", "ready": "a text was loaded"},
}

WORKFLOW_FINAL = frozenset({"completed", "failed", "cancelled"})
JOB_FINAL = frozenset({"completed", "cancelled"})


def is_legal(moves: Moves, path: list[str]) -> bool:
    """Tell whether `path` (states in order, without the birth) is a walk through `moves`."""
    steps = zip(["", *path], path, strict=False)
    return all(to in moves.get(before, {}) for before, to in steps)
