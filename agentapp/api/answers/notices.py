"""What people told the client of a task about its dead letters."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from agentapp.api.answers.values import Id, Moment


class Notice(TypedDict):
    """What a person told the client about a dead letter: a job that failed for good."""

    at: Moment
    by: Annotated[str, Field(description="user:<name> or key:<prefix>")]
    job: Annotated[Id, Field(description="of this task or of a part of it")]
    text: str
