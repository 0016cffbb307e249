"""A plan in words, for people."""

from __future__ import annotations

import json

from agentapp.flows.plans import path_of
from agentapp.flows.stages import RUN_TASK, TASK_KIND, Decision, Flow, Stage, Step, When


def told(flow: Flow) -> list[tuple[str, str]]:
    """Return the stages of a flow in order: the name of each, and what is said of it, such as `skipped unless
    classify_ticket.risk is "high"`."""
    return [(stage.name, "; ".join(_said(stage))) for stage in flow.stages]


def _said(stage: Stage) -> list[str]:
    said = []
    if stage.when:
        said.append(f"skipped unless {_condition(stage.when)}")
    if isinstance(stage, Step) and stage.job_type == RUN_TASK:
        said.append(f"a task of the kind {path_of(stage.bind[TASK_KIND])['const']}")
    if isinstance(stage, Decision):
        said.append("a person decides" + (f", changes go back to {stage.back_to}" if stage.back_to else ""))
        if stage.on_reject == "continue":
            said.append("goes on when it is rejected")
    if stage.repeat:
        times = "once" if stage.repeat.at_most == 1 else f"{stage.repeat.at_most} times"
        said.append(f"back to {stage.repeat.back_to} while {_condition(stage.repeat.when)}, at most {times}")
    return said


def _condition(when: When) -> str:
    return f"{when.path.removesuffix('?')} is {json.dumps(when.equals, ensure_ascii=False)}"
