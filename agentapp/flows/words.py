"""A plan in words, for people."""

from __future__ import annotations

import json
from dataclasses import dataclass

from agentapp.flows.plans import path_of
from agentapp.flows.stages import RUN_TASK, TASK_KIND, Decision, Flow, Repeat, Stage, Step, When


@dataclass(frozen=True)
class WayBack:
    """Where a plan goes back to from a stage, and why: `while judge.verdict is "revise", at most twice`."""

    to: str
    why: str


def told(flow: Flow) -> list[tuple[str, str]]:
    """Return the stages of a flow in order: the name of each, and what is said of it, such as `skipped unless
    classify_ticket.risk is "high"`."""
    return [(stage.name, "; ".join(_said(stage))) for stage in flow.stages]


def _said(stage: Stage) -> list[str]:
    said = []
    if stage.when:
        said.append(f"skipped unless {condition(stage.when)}")
    if isinstance(stage, Step) and stage.job_type == RUN_TASK:
        said.append(f"a task of the kind {path_of(stage.bind[TASK_KIND])['const']}")
    if isinstance(stage, Decision):
        said.append("a person decides" + (f", changes go back to {stage.back_to}" if stage.back_to else ""))
        if stage.refresh_from:
            said.append(f"sources that have changed go back to {stage.refresh_from}")
        if stage.on_reject == "continue":
            said.append("goes on when it is rejected")
    if stage.repeat:
        said.append(f"back to {stage.repeat.back_to} {_while(stage.repeat)}")
    return said


def ways_back(stage: Stage) -> list[WayBack]:
    """Return the ways that lead back from a stage."""
    found = []
    if isinstance(stage, Decision):
        found += [WayBack(stage.back_to, "when a person requests changes")] if stage.back_to else []
        found += [WayBack(stage.refresh_from, "when sources have changed")] if stage.refresh_from else []
    return found + ([WayBack(stage.repeat.back_to, _while(stage.repeat))] if stage.repeat else [])


def _while(repeat: Repeat) -> str:
    times = "once" if repeat.at_most == 1 else f"{repeat.at_most:,} times"
    return f"while {condition(repeat.when)}, at most {times}"


def condition(when: When) -> str:
    return f"{when.path.removesuffix('?')} is {json.dumps(when.equals, ensure_ascii=False)}"
