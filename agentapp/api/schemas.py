"""What clients send, strictly: a wrong type, a missing or a surplus field is an error, never a guess.

Which values are possible is for the services to say: the admin and the commands ask them too.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import pydantic
from pydantic import Field

from agentapp.policies import addresses
from agentapp.services import api_keys, cancellations, gates


def _moment(value: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else datetime.min  # noqa: DTZ901 - refused
    except ValueError:
        moment = datetime.min  # noqa: DTZ901 - naive, so refused below
    if moment.tzinfo is None:
        raise ValueError("Write a time with its zone, as in 2025-01-31T08:00:00Z.")
    return moment


Moment = Annotated[datetime, pydantic.BeforeValidator(_moment)]
LabelKey = Annotated[str, Field(pattern=r"^[A-Za-z0-9_./-]{1,63}$")]
LabelValue = Annotated[str, Field(max_length=100)]
Reason = Annotated[str, Field(max_length=2_000)]
Id = Annotated[UUID, Field(strict=False)]
ShortReason = Annotated[str, Field(max_length=gates.MOST_REASON_CHARACTERS)]


class Body(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True)


class Submit(Body):
    """POST /tasks."""

    kind: str = Field(min_length=1, max_length=100)
    input: dict[str, Any]
    priority: str = "normal"
    labels: dict[LabelKey, LabelValue] = Field(default={}, max_length=20)
    deadline_s: float | None = None
    run_at: Moment | None = None
    callback_url: str | None = Field(None, max_length=addresses.LONGEST_URL)


class Cancel(Body):
    """POST /tasks/{id}/cancel and /dead-letters/{id}/cancel."""

    reason: Reason = ""


class StreamToken(Body):
    """POST /stream-tokens; without a task the token is for all that the key may see."""

    task: Id | None = None


class TaskFilter(Body):
    """Which tasks: of several states or kinds any fits, of several labels all must."""

    state: list[Literal[cancellations.OPEN]] = Field([], max_length=len(cancellations.OPEN))  # type: ignore[valid-type]
    kind: list[Annotated[str, Field(max_length=100)]] = Field([], max_length=20)
    label: dict[LabelKey, LabelValue] = Field({}, max_length=20)
    created_after: Moment | None = None
    created_before: Moment | None = None


class CancelAll(Body):
    """POST /tasks/cancel; the oldest first."""

    filter: TaskFilter
    reason: Reason = ""
    dry_run: bool = False
    limit: int = Field(cancellations.MOST_AT_ONCE, ge=1, le=cancellations.MOST_AT_ONCE)


class Fork(Body):
    """POST /tasks/{id}/fork; without an input the origin's is used. Without a stage the answer lists them."""

    from_stage: str | None = Field(None, max_length=100)
    input: dict[str, Any] | None = None


class Replay(Body):
    """POST /dead-letters/{id}/replay; without a payload the job's own is used again."""

    payload: dict[str, Any] | None = None
    from_stage: str | None = Field(None, min_length=1, max_length=100)
    effect_happened: bool | None = None


class Resolve(Body):
    """POST /dead-letters/{id}/resolve."""

    output: dict[str, Any]
    reason: Reason


class ReplayAll(Body):
    """POST /dead-letters/replay; exactly one of fingerprint and type."""

    fingerprint: str = Field("", max_length=100)
    type: str = Field("", max_length=100)
    canary: int = Field(1, ge=1, le=1_000)
    batch: int = Field(100, ge=1, le=1_000)


class Abort(Body):
    """POST /dead-letter-replays/{id}/abort."""

    reason: Reason = ""


class Content(Body):
    """What leaves the platform when it is approved."""

    to: str
    subject: str
    body: str


class Decide(Body):
    """POST /approvals/{id}/decision. `content_sha256` is what the approval showed when the person decided."""

    decision: str
    content_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    content: Content | None = None
    reason: Reason = ""


class LoadDocument(Body):
    """POST /documents; the same source again replaces the text."""

    source: str
    title: str
    text: str


class ChangeGate(Body):
    """PATCH /gates/{id}: what is left out stays as it is."""

    scope: str = ""
    pattern: str = ""
    tier: str = ""
    concurrency: int | None = None
    reserved: int = 0
    requests_per_min: float | None = None
    request_burst: int = 0
    tokens_per_min: float | None = None
    token_burst: int = 0
    max_waiting: int | None = None
    note: str = ""
    reason: ShortReason = ""

    def values(self) -> dict[str, Any]:
        """Return what was sent."""
        return self.model_dump(exclude={"reason"}, exclude_unset=True)


class NewGate(ChangeGate):
    """POST /gates and PUT /gates/{id}: what is left out has its default."""

    scope: str

    def whole(self) -> dict[str, Any]:
        """Return all values, with the defaults of those that were not sent."""
        return self.model_dump(exclude={"reason"})


class Rotate(Body):
    """POST /keys/self/rotate."""

    overlap_s: int = Field(api_keys.OVERLAP_S, ge=0, le=api_keys.LONGEST_OVERLAP_S)


class SetMode(Body):
    """POST /limits/{scope}/{name}/pause, drain and resume; who stops a key must say why."""

    reason: ShortReason = ""


class ChangeWebhookEndpoint(Body):
    """PATCH /webhook-endpoints/{id}: what is left out stays as it is."""

    url: str = ""
    events: list[str] = Field([], max_length=50)
    description: str = ""
    is_enabled: bool = True

    def values(self) -> dict[str, Any]:
        """Return what was sent."""
        return self.model_dump(exclude_unset=True)


class NewWebhookEndpoint(Body):
    """POST /webhook-endpoints; without events it is told of all."""

    url: str
    events: list[str] = Field([], max_length=50)
    description: str = ""


class Nothing(Body):
    """Of an address that needs no body."""
