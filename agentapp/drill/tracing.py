"""The question whether one job's way can be read back, from its id to the outcome."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from agentapp.drill.answers import Red
from agentapp.drill.ground import Ground
from agentapp.models import Effect, History, Job
from agentapp.policies.counting import count
from agentapp.states import JOB_MOVES, WORKFLOW_MOVES, EffectState, is_legal

PARTS = 3


def trace(ground: Ground) -> str:
    """From the id of a job alone: its task, attempts, history, effect and outcome. [B1]"""
    task = ground.submit("drill_send", parts=list(range(PARTS)))
    ground.reach([task], "completed")
    return follow(str(task.jobs.get(type="drill_send").pk))


def follow(job_id: str) -> str:
    """Read back what is known about a job of the kind drill_send, and say it in one line.

    Raises:
        Red: something is missing, or is not what the state machine allows.
    """
    job = Job.objects.select_related("workflow", "stage").get(pk=job_id)
    task = job.workflow
    history = list(History.objects.filter(workflow=task).order_by("seq"))
    if [row.seq for row in history] != list(range(1, len(history) + 1)) or len(history) != task.seq:
        raise Red(f"the history of the task {task.pk} has gaps: {[row.seq for row in history]}")
    walks: dict[UUID | None, list[str]] = {}
    for row in history:
        # A job that was planned with its task begins its history as pending, when it is opened.
        walks.setdefault(row.job_id, [row.from_state] if row.from_state else []).append(row.to_state)
    for noun_id, walk in walks.items():
        if not is_legal(JOB_MOVES if noun_id else WORKFLOW_MOVES, walk):
            raise Red(f"{noun_id or task.pk} went {' > '.join(walk)}, which is no way through the states")
    effect = Effect.objects.filter(job_id=job.pk).first()
    if effect is None or effect.state != EffectState.CONFIRMED:
        raise Red(f"the effect of the job {job.pk} is {effect.state if effect else 'not in the ledger'}")
    attempt = job.attempts.order_by("-number").first()
    if attempt is None or task.result is None:
        raise Red(f"the job {job.pk} has no attempt, or its task no result")
    return (
        f"job {job.pk}: {job.type}, stage {job.stage.position} of the {task.kind} {task.pk}, submitted by "
        f"{history[0].actor}; {' > '.join(walks[job.pk])}; attempt {attempt.number} by {attempt.worker}; "
        f"{count(len(history), 'history row')} of {count(len(walks) - 1, 'job')} without a gap; "
        f"effect {effect.pk} confirmed, "
        f"{_times(effect.sends)}; outcome {_outcome(task.result)}"
    )


def _times(sends: int) -> str:
    return "sent once" if sends == 1 else f"sent {sends} times"


def _outcome(result: dict[str, Any]) -> str:
    return str(result.get("outcome"))
