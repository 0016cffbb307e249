"""Jobs that failed for good, and their replays."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from agentapp.api.answers.tasks import WholeJob
from agentapp.api.answers.values import BulkState, Fingerprint, Id, Moment

GroupError = TypedDict("GroupError", {"class": str, "message": str})
GroupError.__doc__ = "What these failures have in common; the message is that of one of them."


class DeadLetter(WholeJob):
    """A job that failed for good and waits for a person."""

    fingerprint: Annotated[Fingerprint, Field(description="what equal failures share")]


class DeadLetterGroup(TypedDict):
    """Dead letters that failed alike."""

    fingerprint: Fingerprint
    type: str
    error: GroupError
    count: int
    first_seen: Moment
    last_seen: Moment


class BulkReplay(TypedDict):
    """Many dead letters of one kind, replayed together: first the canary, then the rest."""

    id: Id
    state: BulkState
    fingerprint: str | None
    type: str
    total: int
    left_out: Annotated[int, Field(description="dead letters beyond the maximum of 20,000")]
    waiting: int
    under_way: int
    succeeded: int
    failed: int
    skipped: Annotated[int, Field(description="cancelled meanwhile, or not possible")]
    canary: int
    batch: int
    started_by: str
    reason: Annotated[str | None, Field(description="why it was aborted")]
    created_at: Moment
    finished_at: Moment | None
