"""What can be submitted."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

from agentapp.api.answers.values import Object, one_of
from agentapp.states import StageKind


class Kind(TypedDict):
    """A workflow kind."""

    kind: Annotated[str, Field(description="its name, as a new task gives it")]
    version: Annotated[int, Field(description="the newest one, which new tasks take")]
    title: str | None
    description: str | None


class Condition(TypedDict):
    """What a path leads to equals a value; a path that leads nowhere is null."""

    path: Annotated[str, Field(description="such as classify_ticket.risk: a stage, then keys of its output")]
    equals: Any


class Loop(TypedDict):
    """The plan goes back while the condition is met, at most so many times."""

    back_to: str
    when: Condition
    at_most: int


class KindStage(TypedDict):
    """A stage of a kind."""

    name: str
    kind: Annotated[str, one_of(StageKind.values)]
    job_type: str | None
    when: Annotated[Condition | None, Field(description="while it is not met, the stage is skipped")]
    repeat: Loop | None


class WholeKind(Kind):
    """A workflow kind with the schema of its input."""

    input_schema: Annotated[Object, Field(description="JSON Schema, draft 2020-12")]
    stages: list[KindStage]
