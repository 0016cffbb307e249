"""What a task has come to before a job of it: the outputs of its earlier stages, as they are stored."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db.models import Q

from agentapp.lifecycle import messages
from agentapp.lifecycle.opened import Claimed
from agentapp.models import Job, Message, Stage, Workflow
from agentapp.runtime import grants
from agentapp.states import JobState

Json = dict[str, Any]

_ENDED_WITHOUT = (JobState.DEAD_LETTERED, JobState.CANCELLED)


@dataclass(frozen=True)
class EarlierStage:
    """A closed stage of a task. `outputs` are those of its completed jobs by part; `output` is a decision's own.
    `failed` says of the parts that its join did without why there is no output, by part."""

    name: str
    position: int
    task: UUID
    output: Json | None
    outputs: dict[int, Json] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Conversation:
    """The stages of all tasks of a conversation up to a job, and what was said to them by now, oldest first. `others`:
    the scopes of the keys and persons behind its earlier tasks and the origins of its forks, where those are not
    behind the job's own."""

    stages: list[EarlierStage]
    messages: list[Message]
    others: list[frozenset[str]]


def read(job: Claimed, names: Collection[str], *, most: int | None = None) -> list[EarlierStage]:
    """Return the stages of these names before the job's own, in the order of the plan; `most`: only the last ones.

    What was superseded by a replay from an earlier stage is left out.
    """
    return _stages(job, [], names, most=most)


def is_planned(job: Claimed, name: str) -> bool:
    """Return whether the plan of a job's task has a stage of this name."""
    return Stage.objects.filter(workflow_id=job.workflow_id, name=name).exists()


def is_interrupted_by_messages(job: Claimed) -> bool:
    """Return whether what is said to a job's task comes before what the task was about to do."""
    last = Stage.objects.filter(workflow_id=job.workflow_id).order_by("-position").values_list("spec__hears", flat=True)
    return bool((last.first() or {}).get("interrupts"))


def sent(job: Claimed) -> Json:
    """Return the input of a job's task, as its client sent it."""
    return dict(Workflow.objects.values_list("input", flat=True).get(pk=job.workflow_id) or {})


def conversation(job: Claimed, names: Collection[str]) -> Conversation:
    """The same with the stages of the tasks before it, whose conversation its task goes on with."""
    *before, _ = tasks = messages.chain(job.workflow_id)
    said = sorted(
        Message.objects.filter(workflow__in=tasks), key=lambda one: (tasks.index(one.workflow_id), one.number)
    )  # fmt: skip
    return Conversation(_stages(job, before, names), said, grants.of_others(job, before))


def _stages(
    job: Claimed, before: Sequence[UUID], names: Collection[str], *, most: int | None = None
) -> list[EarlierStage]:
    own = Job.objects.filter(pk=job.id).values("stage__position")[:1]
    reached = Q(workflow_id=job.workflow_id, position__lt=own)
    rows = Stage.objects.filter(reached | Q(workflow__in=before) if before else reached, name__in=names)
    found = list(rows.exclude(spec__has_key="superseded").order_by("-position")[:most])[::-1]
    tasks = [*before, job.workflow_id]
    order = {task: place for place, task in enumerate(tasks)}
    found.sort(key=lambda stage: order[stage.workflow_id])
    closed = Job.objects.filter(workflow__in=tasks, stage__in=found)
    outputs: dict[int, dict[int, Json]] = {}
    for stage_id, part, output in closed.filter(state=JobState.COMPLETED).values_list("stage_id", "part", "output"):
        outputs.setdefault(stage_id, {})[part] = output or {}
    failed: dict[int, dict[int, str]] = {}
    # The job of a skipped stage was cancelled, and nothing of it has failed.
    ended = closed.filter(state__in=_ENDED_WITHOUT).exclude(stage__spec__has_key="skipped")
    for stage_id, part, error in ended.values_list("stage_id", "part", "error"):
        failed.setdefault(stage_id, {})[part] = str((error or {}).get("message") or "It was cancelled.")
    return [
        EarlierStage(
            stage.name, stage.position, stage.workflow_id, stage.output, outputs.get(stage.pk, {}),
            failed.get(stage.pk, {}),
        )
        for stage in found
    ]  # fmt: skip
