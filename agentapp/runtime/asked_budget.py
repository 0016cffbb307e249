"""What a person was asked about the budget of a job whose framework calls the model, and what is kept of it. [C5] [C11]

The plan says whether somebody is asked: a decision behind the stage shows its `content`. The job then ends with the
question, the decision goes back to the stage, and the job of the next round finds the answers of those before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from agentapp.errors import BudgetUsedUp
from agentapp.lifecycle.opened import Claimed
from agentapp.models import Job, ModelCall, Stage
from agentapp.policies.content import canonical_sha256
from agentapp.runtime import approved, earlier
from agentapp.runtime.artifacts import Artifacts
from agentapp.runtime.earlier import EarlierStage

Json = dict[str, Any]


@dataclass(frozen=True)
class AskedBudget:
    """`decision` is the name of the stage in which a person is asked, empty where the plan has none. `rounds` are the
    jobs of this stage whose answers are this job's as well, `raised` the contents that were approved, oldest first.
    `is_rejected`: a person has said no to the latest question."""

    decision: str = ""
    rounds: Sequence[UUID] = ()
    raised: Sequence[Json] = field(default_factory=tuple)
    is_rejected: bool = False


def read(job: Claimed) -> AskedBudget:
    """Read it from the plan and from what the task has stored.

    Raises:
        ContentChanged: a content is no longer what was approved.
    """
    own = Stage.objects.filter(jobs__id=job.id, kind="job").first()
    if own is None:
        return AskedBudget()
    behind = Stage.objects.filter(workflow_id=job.workflow_id, kind="decision", position__gt=own.position)
    bound = {"from": own.name, "path": ["content"]}
    decision = behind.filter(spec__bind__content__contains=bound).order_by("position").first()
    if decision is None:
        return AskedBudget()
    stages = earlier.read(job, [own.name, decision.name])
    decided = [stage.output for stage in stages if stage.name == decision.name and stage.output]
    contents = [
        approved.read(job, one["approval_id"]).content for one in decided if one.get("decision") == "approved"
    ]  # fmt: skip
    return AskedBudget(
        decision.name,
        _rounds(job, own, [stage for stage in stages if stage.name == own.name]),
        [content for content in contents if "budget" in content],
        bool(decided) and decided[-1].get("decision") == "rejected",
    )


def _rounds(job: Claimed, own: Stage, stages: Sequence[EarlierStage]) -> list[UUID]:
    """The jobs that were this one before they asked; a round that ended otherwise was another question."""
    positions: list[int] = []
    for stage in reversed(stages):
        if not _has_asked(stage.outputs.get(0, {})):
            break
        positions.append(stage.position)
    rows = Job.objects.filter(workflow_id=job.workflow_id, stage__name=own.name, stage__position__in=positions)
    return list(rows.values_list("pk", flat=True))


def _has_asked(output: Mapping[str, Any]) -> bool:
    content = output.get("content")
    return output.get("asks") is True and isinstance(content, dict) and "budget" in content


def question(error: BudgetUsedUp, asked: AskedBudget, job: Claimed, artifacts: Artifacts) -> Json | None:
    """What a job stores in the place of its result, so that a person is asked: the question, and the last text of the
    model as the `partial` result. None where the error stands."""
    if error.content is None or not asked.decision or asked.is_rejected:
        return None
    calls = ModelCall.objects.filter(job_id__in=[job.id, *asked.rounds], answer__isnull=False)
    said = calls.order_by("-started_at", "-id").values_list("answer__choices__0__message__content", flat=True)
    text = next((one for one in said if isinstance(one, str) and one.strip()), "")
    partial = artifacts.kept(text.strip(), name="partial.txt") if text else None
    content = dict(error.content)
    return {"asks": True, "content": content, "content_sha256": canonical_sha256(content), "partial": partial}
