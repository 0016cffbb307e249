"""Tasks of tasks: a job runs one of another kind and waits for its end, without a worker. [B3]"""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from uuid import UUID

import pydantic

from agentapp import clock, flows, ids, registry
from agentapp.dispatch import publisher, waking
from agentapp.errors import IllegalMove, PermanentError, TaskIsOpen
from agentapp.lifecycle import submit
from agentapp.lifecycle.cancel import cancel
from agentapp.lifecycle.opened import Claimed
from agentapp.models import Workflow
from agentapp.policies import sentences
from agentapp.runtime.process import this
from agentapp.states import WORKFLOW_FINAL, WorkflowState

Json = dict[str, Any]

# Its end wakes the job that waits. Where that was missed, it looks again: sooner while the task is young.
FIRST_LOOK_S, LONGEST_LOOK_S = 10, 900


def started(job: Claimed, kind: str, input: Json) -> Workflow:
    """Return the task that a job runs; start it where that was not done yet. Idempotent.

    Raises:
        PermanentError: its input does not fit the kind.
        Cancelled, LostLease: the job is no longer this attempt's.
    """
    if (known := _latest(job)) is not None:
        return known
    task = ids.of_child(job.id, job.replay)
    flow = registry.latest_flow(kind)
    if flow is None:
        raise PermanentError(f"There is no task kind {kind!r}.")
    try:
        checked = flow.input.model_validate(input).model_dump(mode="json")
    except pydantic.ValidationError as error:
        raise PermanentError(f"{kind}: {sentences.detail(sentences.field_errors(error))}") from error
    publisher.publish(
        submit.child(
            task, job, kind=kind, version=flow.version, input=checked, stages=flows.plan(flow),
            result_bind=flows.paths_of(flow.result), actor=this.actor,
        )
    )  # fmt: skip
    return Workflow.objects.get(pk=task)


def _latest(job: Claimed) -> Workflow | None:
    """The task that the job goes on with: the one of this replay, or an earlier one that did not end badly."""
    replays = {ids.of_child(job.id, replay): replay for replay in range(job.replay + 1)}
    found = sorted(Workflow.objects.filter(pk__in=replays), key=lambda task: replays[task.pk])
    if not found:
        return None
    ended_badly = found[-1].state in WORKFLOW_FINAL and found[-1].state != WorkflowState.COMPLETED
    return None if ended_badly and replays[found[-1].pk] < job.replay else found[-1]


def result(task: Workflow) -> Json:
    """Return {"task", "result"} of a task that was completed.

    Raises:
        TaskIsOpen: it is not over.
        PermanentError: it failed or was cancelled.
    """
    if task.state not in WORKFLOW_FINAL:
        age_s = (clock.now() - task.created_at).total_seconds()
        raise TaskIsOpen(
            f"the task {task.pk} ({task.kind}) is {task.state.replace('_', ' ')}",
            retry_after_s=min(LONGEST_LOOK_S, max(FIRST_LOOK_S, round(age_s / 2))),
        )
    if task.state != WorkflowState.COMPLETED:
        why = (task.error or {}).get("message", "no reason is known")
        raise PermanentError(f"The task {task.pk} ({task.kind}) was {task.state}: {why}. A replay runs a new one.")
    return {"task": str(task.pk), "result": task.result}


def end(job_id: UUID, *, replay: int, actor: str) -> None:
    """Cancel what a job runs, because it was cancelled or finished by hand. Idempotent."""
    tasks = [ids.of_child(job_id, number) for number in range(replay + 1)]
    for task in Workflow.objects.filter(pk__in=tasks, finished_at=None):
        # It may end by itself in this moment.
        with suppress(IllegalMove):
            cancel(task.pk, actor=actor, reason="the task that it was part of has ended")
        waking.wake()
