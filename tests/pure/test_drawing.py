"""A plan is drawn from its data: what changes there changes in the drawing. [C3]"""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

import pytest

from agentapp import flows, registry
from agentapp.flows import Conversation, Decision, FanOut, Flow, Repeat, Step, When, child_task
from agentapp.management.commands.write_docs import drawing
from tests.kinds import Anything

WRITE = Step("write")
FIND = FanOut("find", over="input.parts", each="source", when=When("input.text", equals="<b>"))
ASK = Decision(bind={}, back_to="write", refresh_from="find")
AGAIN = child_task("report", repeat=Repeat("write", when=When("report.more"), at_most=1_000))
PLAN = Flow(kind="k", version=1, input=Anything, stages=(WRITE, FIND, ASK, AGAIN))


def test_each_stage_has_a_box_in_its_order_that_says_what_it_is() -> None:
    boxes = flows.drawn(PLAN).boxes

    assert [(box.name, box.says, box.shape, box.is_optional) for box in boxes] == [
        ("write", "one job", "job", False), ("find", "one job for each source", "fan_out", True),
        ("approval", "a person decides", "decision", False), ("report", "a task of the kind report", "task", False),
    ]  # fmt: skip
    assert all(upper.y + upper.height < lower.y for upper, lower in itertools.pairwise(boxes))


def ends(flow: Flow) -> list[tuple[str, str]]:
    """Between which boxes the arrows go that lead back."""
    found = flows.drawn(flow)

    def at(y: str) -> str:
        return next(box.name for box in found.boxes if box.y <= int(y) <= box.y + box.height)

    ways = [re.fullmatch(r"M\d+ (\d+)H\d+V(\d+)H\d+", arrow) for arrow in found.arrows]
    return sorted((at(way[1]), at(way[2])) for way in ways if way)


def test_each_way_back_is_an_arrow_with_its_reason() -> None:
    assert ends(PLAN) == [("approval", "find"), ("approval", "write"), ("report", "write")]
    assert [[note.text for note in box.notes] for box in flows.drawn(PLAN).boxes] == [
        [],
        ['only if input.text is "<b>"'],
        ["back to write when a person requests changes", "back to find when sources have changed"],
        ["back to write while report.more is true, at most 1,000 times"],
    ]
    talk = replace(PLAN, conversation=Conversation(turn="find"))
    assert ("report", "find") in ends(talk) and len(ends(talk)) == 4
    assert ends(replace(PLAN, stages=(WRITE, replace(FIND, when=None)))) == []


def test_what_stands_in_a_plan_is_text_in_the_drawing() -> None:
    assert "is &quot;&lt;b&gt;&quot;" in drawing(PLAN) and "<b>" not in drawing(PLAN)


@pytest.mark.parametrize("kind", sorted({kind for kind, _ in registry.flows if not kind.startswith("probe")}))
def test_the_arrows_of_a_kind_that_ships_are_those_of_its_plan(kind: str) -> None:
    flow = registry.latest_flow(kind)
    assert flow is not None
    stored = [(row["name"], row["spec"]) for row in flows.plan(flow)]
    ways = [(name, spec[way]) for name, spec in stored for way in ("back_to", "refresh_from") if way in spec]
    ways += [(name, spec[loop]["back_to"]) for name, spec in stored for loop in ("repeat", "hears") if loop in spec]

    assert ends(flow) == sorted(ways)
