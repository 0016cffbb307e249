"""Tasks, what they wait for, and their jobs."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, TypeAlias

import pydantic
from pydantic import Field
from typing_extensions import TypedDict

from agentapp.api.answers import values
from agentapp.api.answers.notices import Notice
from agentapp.api.answers.values import Id, JobState, Moment, Object, Outcome, Priority, Risk, Sha256, TaskState, one_of
from agentapp.states import BulkCancellationState

# In the functional form, because `class` is a word of Python.
TaskError = TypedDict("TaskError", {"class": str, "message": str})
TaskError.__doc__ = "Why a task failed."
AttemptError = TypedDict("AttemptError", {"class": str, "message": str})
AttemptError.__doc__ = "Why an attempt failed."
JobError = TypedDict(
    "JobError",
    {"class": str, "kind": NotRequired[str], "message": NotRequired[str], "fingerprint": NotRequired[str]},
)
JobError.__doc__ = "Why a job failed the last time."


class Progress(TypedDict):
    """How far a task is."""

    stage: Annotated[int, Field(description="the stage that is open, from 1; 0 before the first")]
    stages: int
    jobs_done: int
    jobs: Annotated[int, Field(description="jobs that are known so far; a fan-out adds some")]


class Cost(TypedDict):
    """What the model calls of a task have cost so far."""

    tokens: int
    usd: Annotated[float, Field(description="of the calls whose price is known")]
    unpriced_calls: Annotated[int, Field(description="calls of models whose price is not known")]


class TimeWait(TypedDict):
    """It waits for its `run_at`."""

    type: Literal["time"]
    until: Moment


class ApprovalWait(TypedDict):
    """It waits for a person who decides."""

    type: Literal["approval"]
    id: Id
    expires_at: Moment | None
    job: NotRequired[Annotated[Id, Field(description="the job that asks; the others of the task go on")]]
    job_type: NotRequired[str]


class DeadLetterWait(TypedDict):
    """It waits for a person who fixes a dead letter."""

    type: Literal["dead_letter"]
    id: Id
    job_type: str
    error: str | None


class RetryWait(TypedDict):
    """It waits for the end of a back-off."""

    type: Literal["retry"]
    job: Id
    job_type: str
    attempt: int
    until: Moment | None


class EffectWait(TypedDict):
    """It waits for another send of its effect; `until` is when it looks again."""

    type: Literal["effect"]
    job: Id
    job_type: str
    until: Moment | None


class HoldWait(TypedDict):
    """It was approved, and is sent at `until`: the approval can be withdrawn."""

    type: Literal["hold"]
    job: Id
    job_type: str
    until: Moment | None


class Holder(TypedDict):
    """A job that holds a slot of a gate."""

    job: Id
    job_type: str
    task: Id
    since: Moment | None


class GateWait(TypedDict):
    """It waits for a limit."""

    type: Literal["gate"]
    job: Id
    job_type: str
    scope: str
    name: str
    why: Literal["concurrency", "requests", "tokens", "budget", "provider", "breaker", "paused", "draining"]
    limit: NotRequired[float]
    running: NotRequired[int]
    holders: NotRequired[Annotated[list[Holder], Field(description="up to five jobs of this tenant")]]
    held_by_others: NotRequired[Annotated[int, Field(description="slots that other tenants hold")]]
    until: NotRequired[Annotated[Moment, Field(description="the estimated time at which it moves")]]
    reason: NotRequired[str]
    by: NotRequired[str]
    since: NotRequired[Moment]


class QueueWait(TypedDict):
    """It waits for a free worker."""

    type: Literal["queue"]
    job: Id
    job_type: str
    queue: str
    since: NotRequired[Moment]
    position: NotRequired[
        Annotated[int, Field(description="jobs of this tenant that go first; 0: its message is published")]
    ]
    until: NotRequired[Annotated[Moment, Field(description="the estimated time at which it moves")]]
    why: NotRequired[Literal["not claimed"]]
    messages: NotRequired[Annotated[int, Field(description="messages that no worker has answered")]]


class TaskWait(TypedDict):
    """It waits for the end of a task that is a part of it."""

    type: Literal["task"]
    id: Id
    job: Id


BlockedBy: TypeAlias = Annotated[
    TaskWait | TimeWait | ApprovalWait | DeadLetterWait | RetryWait | EffectWait | HoldWait | GateWait | QueueWait,
    Field(discriminator="type"),
]


EXAMPLE: values.Object = {
    "id": values.ID, "kind": "support_reply", "version": 1, "state": "awaiting_approval", "priority": "normal",
    "progress": {"stage": 6, "stages": 7, "jobs_done": 6, "jobs": 7},
    "blocked_by": [{"type": "approval", "id": values.SECOND_ID, "expires_at": None}],
    "estimated_start_at": None,
    "input": {"subject": "Refund", "body": "How?", "customer_email": "customer@example.org"},
    "result": None, "error": None, "labels": {"from": "website"}, "notices": [],
    "cost": {"tokens": 1890, "usd": 0.0021, "unpriced_calls": 0}, "risk": "low",
    "callback_url": None, "forked_from": None, "continues": None, "schedule": None, "parent": None,
    "created_at": values.MOMENT, "run_at": None, "started_at": values.LATER,
    "deadline_at": None, "finished_at": None,
}  # fmt: skip


@pydantic.with_config(values.like(EXAMPLE))
class Task(TypedDict):
    """A durable workflow."""

    id: Id
    kind: str
    version: Annotated[int, Field(description="the version of the kind that this task keeps")]
    state: TaskState
    priority: Priority
    progress: Progress
    blocked_by: Annotated[
        list[BlockedBy],
        Field(description="why it waits, at most 20 reasons; empty while everything runs and when it has ended"),
    ]
    estimated_start_at: Annotated[Moment | None, Field(description="when it should start, where it has to wait")]
    input: Object
    result: Object | None
    error: TaskError | None
    labels: dict[str, str]
    notices: Annotated[list[Notice], Field(description="what people told the client, the oldest first, at most 20")]
    cost: Cost
    risk: Risk
    callback_url: Annotated[str | None, Field(description="receives the webhooks of this task")]
    forked_from: Annotated[Id | None, Field(description="the task that it is a fork of")]
    continues: Annotated[Id | None, Field(description="the task whose conversation it goes on with")]
    schedule: Annotated[Id | None, Field(description="the schedule that has started it")]
    parent: Annotated[Id | None, Field(description="the task that it is a part of")]
    created_at: Moment
    run_at: Annotated[Moment | None, Field(description="when it begins, where it was told to wait")]
    started_at: Moment | None
    deadline_at: Moment | None
    finished_at: Moment | None


class Message(TypedDict):
    """What a client has said to a conversation."""

    id: Id
    task: Annotated[Id, Field(description="the task that reads it")]
    number: Annotated[int, Field(description="from 1, within its task")]
    text: str
    untrusted: bool
    said_by: Annotated[str, Field(description="user:<name> or key:<prefix>")]
    created_at: Moment
    read_by_turn: Annotated[int | None, Field(description="the turn that has read it")]


class Cancellable(TypedDict):
    """How many open tasks a filter describes."""

    dry_run: bool
    total: int
    total_is: Annotated[str, one_of(("exact", "at least"))]


class BulkCancellation(TypedDict):
    """Many tasks, cancelled one after the other: those that a filter described when it was begun."""

    id: Id
    state: Annotated[str, one_of(tuple(BulkCancellationState.values))]
    filter: Annotated[Object, Field(description="which tasks were asked for")]
    total: int
    left_out: Annotated[int, Field(description="tasks beyond the maximum of 20,000")]
    waiting: int
    cancelled: int
    skipped: Annotated[int, Field(description="tasks that had ended meanwhile")]
    failed: Annotated[int, Field(description="tasks that could not be cancelled")]
    started_by: str
    task_reason: Annotated[str | None, Field(description="why the tasks are cancelled")]
    reason: Annotated[str | None, Field(description="why it was aborted")]
    created_at: Moment
    finished_at: Moment | None


class Artifact(TypedDict):
    """What a job has stored: a prompt, a draft, a file."""

    id: Id
    task: Id | None
    job: Id | None
    name: str
    media_type: str
    size: Annotated[int, Field(description="in bytes")]
    sha256: Sha256
    created_at: Moment


class Attempt(TypedDict):
    """One execution of a job."""

    number: int
    replay: Annotated[int, Field(description="of which replay; 0 before the first")]
    worker: str
    started_at: Moment | None
    finished_at: Moment | None
    outcome: Annotated[Outcome | None, Field(description="null while it runs")]
    error: AttemptError | None


class Job(TypedDict):
    """A unit of work of a task, as lists show it."""

    id: Id
    task: Id
    type: str
    queue: str
    state: JobState
    stage: str
    part: Annotated[int, Field(description="its index within a fan-out")]
    attempt: Annotated[int, Field(description="executions so far")]
    max_attempts: int
    output: Any
    error: JobError | None
    scheduled_at: Moment | None
    available_at: Moment | None
    started_at: Moment | None
    finished_at: Moment | None
    worker: str | None
    attempts: list[Attempt]


class WholeJob(Job):
    """A job with its payload."""

    payload: Annotated[Object | None, Field(description="what the job runs with; null before its stage is open")]
