"""Finished tasks whose drafts were judged: to judge them again, and see whether a model or a prompt has drifted."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import QuerySet, TextField, Value
from django.db.models.functions import MD5, Cast, Concat

from agentapp import clock
from agentapp.errors import PermanentError
from agentapp.lifecycle.opened import Claimed
from agentapp.models import Approval, Job, ModelCall, Workflow
from agentapp.policies import bounds
from agentapp.policies.content import kind_of
from agentapp.states import ApprovalState, JobState, WorkflowState

Json = dict[str, Any]
UNDECIDED = "none"
# What an approval of a draft is about, of all kinds of contents.
DRAFTS = ("mail", "other")


@dataclass(frozen=True)
class Case:
    """A finished task: which job judged its last draft, with which score from 0 to 1, and what a person decided about
    it: approved, edited (before it was approved), rejected, or none."""

    task: UUID
    job: UUID
    score: float
    decision: str


@dataclass(frozen=True)
class Sample:
    """`found` tasks could have been chosen, `chosen` were; `cases` are those of them that hold a judgement."""

    found: int
    chosen: int
    cases: list[Case]


def sample(job: Claimed, *, kind: str, by: str, hours: float, most: int) -> Sample:
    """Choose by lot among the tasks of a kind that were completed within so many hours; `by` is the type of the jobs
    that judge. The lot is the job's: its next attempt chooses the same."""
    tasks = Workflow.objects.filter(
        tenant_id=job.tenant_id, kind=kind, state=WorkflowState.COMPLETED,
        finished_at__gte=clock.now() - timedelta(hours=hours),
    )  # fmt: skip
    lot = MD5(Concat(Cast("id", TextField()), Value(str(job.id))))
    chosen = [task.pk for task in tasks.only("id").order_by(lot)[:most]]
    judged = _jobs(job, by).filter(workflow__in=chosen).order_by("stage__position")
    # A draft that was revised was judged again: the last one counts.
    last = {task: (pk, output) for pk, task, output in judged.values_list("pk", "workflow_id", "output")}
    decisions = _decisions(chosen)
    cases = [
        Case(task, pk, score, decisions.get(task, UNDECIDED))
        for task, (pk, output) in last.items()
        if (score := bounds.number((output or {}).get("score"), least=0, most=1)) is not None
    ]
    return Sample(tasks.count(), len(chosen), cases)


def payload(job: Claimed, judged: UUID, *, by: str) -> Json:
    """Return what a judging job of the tenant was given.

    Raises:
        PermanentError: there is none of this id any more.
    """
    found = _jobs(job, by).filter(pk=judged).values_list("payload", flat=True).first()
    if found is None:
        raise PermanentError(f"This tenant has no {by} {judged}.")
    return dict(found)


def asked(job: Claimed, *, tasks: Collection[UUID], by: str) -> dict[str, list[str]]:
    """Return the models that have answered the judging jobs of these tasks, and the versions of their prompts."""
    jobs = Job.objects.filter(workflow__in=tasks, type=by).values("pk")
    calls = ModelCall.objects.filter(tenant_id=job.tenant_id, workflow_id__in=tasks, job_id__in=jobs, error_class="")
    rows = list(calls.values_list("model", "prompts").distinct())
    return {
        "models": sorted({model for model, _ in rows}),
        "prompts": sorted({prompt for _, prompts in rows for prompt in prompts}),
    }


def _jobs(job: Claimed, by: str) -> QuerySet[Job]:
    return Job.objects.filter(tenant_id=job.tenant_id, type=by, state=JobState.COMPLETED)


def _decisions(tasks: Collection[UUID]) -> dict[UUID, str]:
    """What people said of the last draft of each task. A job's question, calls of tools and a budget are no drafts."""
    decided = Approval.objects.filter(
        workflow__in=tasks, job=None, state__in=(ApprovalState.APPROVED, ApprovalState.REJECTED)
    )
    return {
        approval.workflow_id: "edited"
        if approval.state == ApprovalState.APPROVED and approval.content != approval.draft
        else str(approval.state)
        for approval in decided.order_by("id") if kind_of(approval.content) in DRAFTS
    }  # fmt: skip
