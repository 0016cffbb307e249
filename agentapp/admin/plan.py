"""The plan of a task: each stage with what became of it, those too that are still to come."""

from __future__ import annotations

from dataclasses import dataclass

from agentapp.models import Stage, Workflow
from agentapp.states import WORKFLOW_FINAL, StageKind, WorkflowState

_NOTES = {StageKind.FAN_OUT: "in parts", StageKind.DECISION: "a person decides"}


@dataclass(frozen=True)
class Step:
    """A stage, in words."""

    name: str
    note: str
    state: str
    tone: str


def of(workflow: Workflow) -> list[Step]:
    """The stages in order. What a loop or a replay comes back to stands there once more, with its round."""
    stages = Stage.objects.filter(workflow=workflow).defer("output").order_by("position")
    return [Step(each.title, _NOTES.get(StageKind(each.kind), ""), *_state(each, workflow)) for each in stages]


def _state(stage: Stage, workflow: Workflow) -> tuple[str, str]:
    """What became of a stage, and its tone."""
    if stage.spec.get("skipped"):
        return "skipped", "quiet"
    if stage.position < workflow.position or workflow.state == WorkflowState.COMPLETED:
        return "done", "good"
    is_over = workflow.state in WORKFLOW_FINAL
    if stage.position > workflow.position:
        return ("not reached" if is_over else "to come"), "quiet"
    if is_over:
        return "ended here", "bad"
    return "open", "person" if stage.kind == StageKind.DECISION else "active"
