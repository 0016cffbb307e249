"""A plan as a drawing: a column of stages, and arrows back at its right. Pages and the documentation show the same."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Literal

from agentapp.flows import words
from agentapp.flows.plans import path_of
from agentapp.flows.stages import RUN_TASK, TASK_KIND, Decision, FanOut, Flow, Stage

Shape = Literal["job", "fan_out", "decision", "task"]
# In pixels of the drawing: the column of boxes, what lies between two of them, the lanes of arrows, a line of text.
LEFT, WIDTH, HEIGHT, GAP, LANE, LINE = 12, 250, 44, 26, 14, 15
# What a letter of a note takes at most.
LETTER = 6.4


@dataclass(frozen=True)
class Note:
    """A line of text that begins at a point."""

    x: int
    y: int
    text: str


@dataclass(frozen=True)
class Box:
    """A stage. `is_optional`: it may be skipped."""

    x: int
    y: int
    width: int
    height: int
    name: str
    says: str
    shape: Shape
    is_optional: bool
    notes: tuple[Note, ...]

    @property
    def right(self) -> int:
        return self.x + self.width

    @property
    def middle(self) -> int:
        return self.y + self.height // 2


@dataclass(frozen=True)
class Drawing:
    """`arrows` and `heads` are paths of SVG: lines, and their ends."""

    title: str
    width: int
    height: int
    boxes: tuple[Box, ...]
    arrows: tuple[str, ...]
    heads: tuple[str, ...]


def drawn(flow: Flow) -> Drawing:
    """Draw the plan of a kind."""
    ways = [words.ways_back(stage) for stage in flow.stages]
    if flow.conversation:
        ways[-1].append(words.WayBack(flow.conversation.turn, "while a message has not been read"))
    place = {stage.name: number for number, stage in enumerate(flow.stages)}
    jumps = [(number, place[way.to]) for number, found in enumerate(ways) for way in found]
    lanes = sorted(range(len(jumps)), key=lambda jump: jumps[jump][0] - jumps[jump][1])
    notes_at = LEFT + WIDTH + LANE * (len(jumps) + 1) + 8
    boxes, y = [], 8
    for stage, found in zip(flow.stages, ways, strict=True):
        said = ([f"only if {words.condition(stage.when)}"] if stage.when else []) + [
            f"back to {way.to} {way.why}" for way in found
        ]
        box = _box(stage, y, said, notes_at)
        boxes.append(box)
        y += max(HEIGHT, LINE * len(said)) + GAP
    arrows, heads = _downwards(boxes)
    for lane, jump in enumerate(lanes, start=1):
        begin, end = (boxes[number] for number in jumps[jump])
        # Lines that leave one box, and those that come to it, lie beside each other.
        spread = 5 * (lane % 3) - 5
        leaves, comes = begin.middle + 6 + spread // 2, end.middle - 6 + spread // 2
        arrows.append(f"M{begin.right} {leaves}H{begin.right + LANE * lane}V{comes}H{end.right}")
        heads.append(f"M{end.right} {comes}l8 -4v8z")
    longest = max((len(note.text) for box in boxes for note in box.notes), default=0)
    return Drawing(
        title=f"The plan of {flow.kind}", width=round(notes_at + longest * LETTER) + LEFT, height=y - GAP + 12,
        boxes=tuple(boxes), arrows=tuple(arrows), heads=tuple(heads),
    )  # fmt: skip


def _box(stage: Stage, y: int, said: list[str], notes_at: int) -> Box:
    first = y + HEIGHT // 2 + 4 - LINE * (len(said) - 1) // 2
    notes = tuple(Note(notes_at, max(first, y + LINE - 4) + LINE * number, text) for number, text in enumerate(said))
    shape, says = _shape(stage)
    return Box(LEFT, y, WIDTH, HEIGHT, stage.name, says, shape, stage.when is not None, notes)


def _shape(stage: Stage) -> tuple[Shape, str]:
    if isinstance(stage, Decision):
        return "decision", "a person decides"
    if isinstance(stage, FanOut):
        return "fan_out", f"one job for each {stage.each}"
    if stage.job_type == RUN_TASK:
        return "task", f"a task of the kind {path_of(stage.bind[TASK_KIND])['const']}"
    return "job", "one job" if stage.name == stage.job_type else f"one job, {stage.job_type}"


def _downwards(boxes: list[Box]) -> tuple[list[str], list[str]]:
    middle = LEFT + WIDTH // 2
    pairs = list(itertools.pairwise(boxes))
    lines = [f"M{middle} {upper.y + upper.height}V{lower.y}" for upper, lower in pairs]
    return lines, [f"M{middle} {lower.y}l-4 -8h8z" for _, lower in pairs]
