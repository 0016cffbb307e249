"""Streams of events."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field
from typing_extensions import TypedDict

from agentapp.api.answers.values import Id, Moment
from agentapp.streams import events


class ResetData(TypedDict):
    """`reset`: what you know is not what has happened here. Forget it; what comes next is from the start."""


StreamEvent: TypeAlias = (
    events.TaskData
    | events.DoneData
    | events.JobData
    | events.BlockedData
    | events.ApprovalData
    | events.NoticeData
    | events.DeltaData
    | events.EndData
    | ResetData
)


class PastEvent(TypedDict):
    """What has happened, as a stream told it. `data.seq` is its place: ask for what comes after it."""

    type: Literal["task", "job", "blocked", "approval", "notice", "done"]
    data: (
        events.TaskData
        | events.DoneData
        | events.JobData
        | events.BlockedData
        | events.ApprovalData
        | events.NoticeData
    )


class IssuedStreamToken(TypedDict):
    """What opens a stream without a key, for clients that cannot send a header."""

    token: str
    task: Annotated[Id | None, Field(description="the only task that it is for")]
    expires_at: Moment
    url: Annotated[str, Field(description="the address of the stream, with the token")]
