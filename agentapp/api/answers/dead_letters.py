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


class Hint(TypedDict):
    """What usually causes such a failure, and what helps: two texts for people."""

    cause: str
    remedy: str


class HourlyCounts(TypedDict):
    """How many failed in each of the last 24 hours."""

    since: Annotated[Moment, Field(description="when the first hour begins")]
    counts: Annotated[list[int], Field(min_length=24, max_length=24, description="the oldest hour first")]


class DeadLetterGroup(TypedDict):
    """Dead letters that failed alike."""

    fingerprint: Fingerprint
    type: str
    kind: Annotated[str, Field(description="permanent, permission, transient or content changed; empty: unknown")]
    error: GroupError
    hint: Hint
    count: int
    first_seen: Moment
    last_seen: Moment
    hours: HourlyCounts
    in_doubt: Annotated[
        bool, Field(description="nobody knows whether their effects have happened; no bulk replay takes them")
    ]


class BulkReplay(TypedDict):
    """Many dead letters of one kind, replayed together: first the canary, then the rest."""

    id: Id
    state: BulkState
    fingerprint: str | None
    type: str
    total: int
    left_out: Annotated[int, Field(description="dead letters beyond the maximum of 20,000")]
    in_doubt: Annotated[
        int, Field(description="left out because nobody knows whether their effects have happened: decide each")
    ]
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
