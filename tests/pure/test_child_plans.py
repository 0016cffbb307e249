"""Plans in which a stage is a task of its own: what is wrong with one is said at start. [B3]"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pydantic
import pytest

from agentapp import flows, ids, registry
from agentapp.flows import FanOut, Flow, child_task
from tests import kinds


class Text(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")

    text: str
    times: int = 1


registry.add_flow(Flow("probe_childs_plan", 1, Text, ()))
PARENT = Flow(
    "probe_plan", 1, kinds.Anything, (child_task("probe_childs_plan", bind={"text": "input.text"}, name="part"),)
)


@pytest.mark.parametrize(
    ("stages", "problem"),
    [
        ((child_task("probe_no_such"),), "there is no task kind 'probe_no_such'"),
        ((child_task("probe_childs_plan", bind={"text": "input.x", "colour": 1}),), "colour is no field of the input"),
        ((child_task("probe_childs_plan"),), "the field text of probe_childs_plan is not bound"),
        ((child_task("probe_round"),), "runs tasks that run probe_round, without end"),
        ((FanOut("run_task", over="input.x", each="text"),), "no part of a fan-out"),
    ],
)
def test_a_plan_whose_task_cannot_run_is_refused_at_start(stages: Any, problem: str) -> None:
    circular = Flow("probe_round", 1, kinds.Anything, (child_task("probe_round", bind={}),))
    registry.add_flow(circular)
    try:
        found = flows.check(Flow("probe_wrong", 1, kinds.Anything, stages))
    finally:
        del registry.flows["probe_round", 1]
    assert any(problem in sentence for sentence in found), found


def test_a_plan_says_which_task_a_stage_is() -> None:
    assert flows.told(PARENT)[0] == ("part", "a task of the kind probe_childs_plan")
    assert UUID(str(ids.of_child(ids.uuid7(), 3))).version == 7
