"""What a task has come to before a job of it: the outputs of its earlier stages, as they are stored."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from agentapp.lifecycle.opened import Claimed
from agentapp.models import Job, Stage
from agentapp.states import JobState

Json = dict[str, Any]

_ENDED_WITHOUT = (JobState.DEAD_LETTERED, JobState.CANCELLED)


@dataclass(frozen=True)
class EarlierStage:
    """A closed stage. `outputs` are those of its completed jobs by part; `output` is a decision's own. `failed` says of
    the parts that its join did without why there is no output, by part."""

    name: str
    position: int
    output: Json | None
    outputs: dict[int, Json] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)


def read(job: Claimed, names: Collection[str], *, most: int | None = None) -> list[EarlierStage]:
    """Return the stages of these names before the job's own, in the order of the plan; `most`: only the last ones.

    What was superseded by a replay from an earlier stage is left out.
    """
    own = Job.objects.filter(pk=job.id).values("stage__position")[:1]
    stages = Stage.objects.filter(workflow_id=job.workflow_id, position__lt=own, name__in=names)
    found = list(stages.exclude(spec__has_key="superseded").order_by("-position")[:most])[::-1]
    closed = Job.objects.filter(workflow_id=job.workflow_id, stage__in=found)
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
            stage.name, stage.position, stage.output, outputs.get(stage.pk, {}), failed.get(stage.pk, {})
        )
        for stage in found
    ]  # fmt: skip
