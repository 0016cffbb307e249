"""What the API answers with, as far as a client needs it. Later releases may say more."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

Json = dict[str, Any]
State = Literal[
    "scheduled", "pending", "running", "awaiting_approval", "needs_attention", "completed", "failed", "cancelled"
]
OVER: tuple[State, ...] = ("completed", "failed", "cancelled")
Choice = Literal["approve", "edit", "request_changes", "reject"]


class Progress(TypedDict):
    """Stage `stage` of `stages`; `jobs_done` of `jobs` that are planned so far."""

    stage: int
    stages: int
    jobs_done: int
    jobs: int


class Cost(TypedDict):
    tokens: int
    usd: float
    unpriced_calls: int


class Notice(TypedDict):
    """What a person told the client about a dead letter, a job that failed for good."""

    at: str
    by: str
    job: str
    text: str


class Task(TypedDict):
    """A task, as GET /tasks/{id} shows it. Times are RFC 3339 in UTC."""

    id: str
    kind: str
    version: int
    state: State
    priority: str
    progress: Progress
    blocked_by: list[Json]
    estimated_start_at: str | None
    input: Json
    result: Json | None
    error: Json | None
    labels: dict[str, str]
    notices: list[Notice]
    cost: Cost
    risk: str
    callback_url: str | None
    forked_from: str | None
    continues: str | None
    schedule: str | None
    parent: str | None
    created_at: str
    run_at: str | None
    started_at: str | None
    deadline_at: str | None
    finished_at: str | None


class ForkedTask(Task):
    """A task that was made from a stage of another. `already_sent`: by that one or its other forks; not sent again."""

    already_sent: list[Json]


class Job(TypedDict):
    """A job of a task, without its payload."""

    id: str
    task: str
    type: str
    queue: str
    state: str
    stage: str
    part: int
    attempt: int
    max_attempts: int
    worker: str
    output: Json | None
    error: Json | None
    attempts: list[Json]
    scheduled_at: str | None
    available_at: str | None
    started_at: str | None
    finished_at: str | None


class PastEvent(TypedDict):
    """What has happened to a task. `data.seq` is its place in the order; the reference says what else stands in it."""

    type: Literal["task", "job", "blocked", "approval", "notice", "done"]
    data: Json


class Message(TypedDict):
    """What was said to a conversation; `task` is the task that reads it."""

    id: str
    task: str
    number: int
    text: str
    untrusted: bool
    said_by: str
    created_at: str
    read_by_turn: int | None


class Approval(TypedDict):
    """What waits for a person, or what was decided. `content_sha256` belongs to a decision on this content. `refusal`:
    why this key may not approve it; `undecidable`: why nobody can. `job`: which one asks, where the plan does
    not."""

    id: str
    task: str
    job: str | None
    summary: str | None
    state: str
    content: Json
    content_sha256: str
    sources: list[Json]
    evaluation: Json | None
    risk: str
    expires_at: str | None
    created_at: str
    decided_at: str | None
    decided_by: str | None
    reason: str | None
    held_until: str | None
    policy: str | None
    quorum: int
    votes: list[Json]
    votes_missing: int
    may_decide: bool
    refusal: str | None
    undecidable: str | None
    claimed_by: str | None
    claimed_until: str | None
    snoozed_until: str | None
    bypassed_customer: str | None
    already_sent: list[Json]


class Artifact(TypedDict):
    """What a job has stored beside its row. `client.download` reads its content."""

    id: str
    task: str | None
    job: str | None
    name: str
    media_type: str
    size: int
    sha256: str
    created_at: str


class Document(TypedDict):
    """A source of the knowledge base."""

    id: str
    source: str
    title: str
    collection: str
    media_type: str
    state: str
    error: str | None
    task: str | None
    sha256: str
    size: int
    created_at: str
    updated_at: str


class Memory(TypedDict):
    """One version of a fact about a customer."""

    id: str
    about: str
    fact: str
    text: str
    untrusted: bool
    written_by: str
    task: str | None
    valid_from: str
    valid_until: str | None


class Kind(TypedDict):
    """What a task may be."""

    kind: str
    version: int
    title: str | None
    description: str | None


class WholeKind(Kind):
    """A kind with the JSON Schema of its input, and its plan."""

    input_schema: Json
    stages: list[Json]


class Cancellable(TypedDict):
    """How many open tasks a filter describes."""

    dry_run: bool
    total: int
    total_is: Literal["exact", "at least"]


class BulkCancellation(TypedDict):
    """Many tasks that are cancelled one after the other; `waiting` is 0 when all had their turn."""

    id: str
    state: Literal["running", "done", "aborted"]
    filter: Json
    total: int
    left_out: int
    waiting: int
    cancelled: int
    skipped: int
    failed: int
    started_by: str
    task_reason: str | None
    reason: str | None
    created_at: str
    finished_at: str | None


class Schedule(TypedDict):
    """Tasks that begin by the clock. `every_s` or `cron` is None."""

    id: str
    name: str
    kind: str
    input: Json
    labels: dict[str, str]
    priority: str
    deadline_s: float | None
    cron: str | None
    every_s: int | None
    timezone: str
    catch_up: str
    overlap: str
    is_paused: bool
    paused_reason: str | None
    next_at: str | None
    upcoming: list[str]
    created_at: str
    updated_at: str


class ScheduleRun(TypedDict):
    """What came of one time of a schedule; `task` is None where it was left out."""

    task: str | None
    due_at: str
    is_manual: bool
    outcome: str
    reason: str | None
    created_at: str
