"""What the tools answer: of each record the part that an assistant works with, and what it does next."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

from agentapp.api import shapes
from agentapp.api.answers import tasks as of_tasks
from agentapp.client.shapes import State
from agentapp.models import Workflow
from agentapp.states import WORKFLOW_FINAL, WorkflowState

Json = dict[str, Any]
# Waiting longer changes nothing: it is over, or a person's turn.
SETTLED = frozenset({*WORKFLOW_FINAL, WorkflowState.AWAITING_APPROVAL, WorkflowState.NEEDS_ATTENTION})

NEXT_STEPS: dict[str, str] = {
    "scheduled": "It does not begin before run_at. Look again after that time.",
    "pending": "It is not over: call wait_for_task.",
    "running": "It is not over: call wait_for_task.",
    "awaiting_approval": "A person must decide: show the user what list_approvals returns for this task, and ask. Do "
    "not approve it yourself unless the user has told you to approve exactly this content.",
    "needs_attention": "A job has failed, and who runs the service must look at it. Tell the user, with the "
    "words of `notices` if there are any; waiting does not help.",
    "completed": "It is over, and `result` is the answer.",
    "failed": "It is over without a result, and `error` says why. Tell the user before you submit it again.",
    "cancelled": "It is over: it was cancelled.",
}


class Kind(BaseModel):
    kind: str
    version: int
    title: str | None
    description: str | None
    input_schema: Json


class Kinds(BaseModel):
    kinds: list[Kind]


class Progress(BaseModel):
    stage: int
    stages: int
    jobs_done: int
    jobs: int


class ListedTask(BaseModel):
    id: str
    kind: str
    state: State
    progress: Progress
    labels: dict[str, str]
    created_at: str
    finished_at: str | None


class Cost(BaseModel):
    tokens: int
    usd: float


class Task(ListedTask):
    next_step: str
    result: Json | None
    error: Json | None
    blocked_by: list[Json]
    notices: list[Json]
    input: Json
    priority: str
    cost: Cost
    risk: str | None
    run_at: str | None
    estimated_start_at: str | None
    started_at: str | None
    deadline_at: str | None


class Tasks(BaseModel):
    tasks: list[ListedTask]
    has_more: bool


class Approval(BaseModel):
    id: str
    task: str
    job: str | None
    summary: str | None
    state: Literal["pending", "approved", "changes_requested", "rejected", "reopened", "expired", "cancelled"]
    content: Json
    content_sha256: str
    sources: list[Json]
    evaluation: Json | None
    risk: str | None
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
    claimed_by: str | None
    claimed_until: str | None
    snoozed_until: str | None
    bypassed_customer: str | None
    already_sent: list[Json]


class Approvals(BaseModel):
    approvals: list[Approval]
    has_more: bool


def task(row: Workflow) -> Task:
    """Return a task as it is."""
    return of_shape(shapes.task(row))


def of_shape(shape: of_tasks.Task) -> Task:
    """Return a task of the API as the tools show it."""
    return Task.model_validate({**shape, "next_step": NEXT_STEPS[shape["state"]]})
