"""What can be submitted."""

from __future__ import annotations

from typing import Annotated

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


class KindStage(TypedDict):
    """A stage of a kind."""

    name: str
    kind: Annotated[str, one_of(StageKind.values)]
    job_type: str | None


class WholeKind(Kind):
    """A workflow kind with the schema of its input."""

    input_schema: Annotated[Object, Field(description="JSON Schema, draft 2020-12")]
    stages: list[KindStage]
