"""Whether the service works, and what its problem documents mean."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from agentapp.api.answers.values import one_of


class Alive(TypedDict):
    """The process answers."""

    status: Literal["alive"]


class Ready(TypedDict):
    """Postgres accepts writes; `detail` says what does not work yet."""

    status: Literal["ready"]
    postgres: Literal["up"]
    broker: Annotated[str, one_of(("up", "down"))]
    dispatcher: str
    detail: NotRequired[str]


class ProblemKind(TypedDict):
    """A kind of problem document."""

    type: str
    status: int
    title: str
    meaning: str


class FieldError(TypedDict):
    """What is wrong with one field."""

    field: str
    message: str


class Problem(TypedDict):
    """What went wrong, and what to do about it (RFC 9457)."""

    type: Annotated[str, Field(description="the address of the kind, /problems/{slug}")]
    title: str
    status: int
    detail: str
    instance: Annotated[str, Field(description="the path of the request")]
    errors: NotRequired[list[FieldError]]
