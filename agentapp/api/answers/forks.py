"""A task that was made from a stage of another, and what its line of forks has sent."""

from __future__ import annotations

from typing import Annotated

import pydantic
from pydantic import Field
from typing_extensions import TypedDict

from agentapp.api.answers import values
from agentapp.api.answers.tasks import EXAMPLE, Task
from agentapp.api.answers.values import Id, Moment


class AlreadySent(TypedDict):
    """What another task of the same line of forks has sent: approving sends it no second time under the same key."""

    task: Id
    type: Annotated[str, Field(description="mail, ...")]
    at: Moment | None
    is_certain: Annotated[bool, Field(description="false: it may have been sent")]
    to: str | None
    subject: str | None


@pydantic.with_config(values.like(EXAMPLE | {"already_sent": []}))
class ForkedTask(Task):
    """A task that was made from a stage of another."""

    already_sent: Annotated[
        list[AlreadySent],
        Field(description="by the task that this one is a fork of, or its other forks: not sent again"),
    ]
