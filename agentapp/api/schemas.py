"""What clients send, strictly: a wrong type, a missing or a surplus field is an error, never a guess.

Which values are possible is for the services to say: the admin and the commands ask them too.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import pydantic
from pydantic import Field

from agentapp.api.amounts import Amount
from agentapp.api.answers.values import like
from agentapp.policies import addresses, moments, priority, search, webhook_formats
from agentapp.services import api_keys, approvals, cancellations, dead_letters, document_fields, new_task, validation

Moment = Annotated[datetime, pydantic.BeforeValidator(moments.read)]
LABEL_KEY = r"^[A-Za-z0-9_./-]{1,63}$"


def _label_key(text: str) -> str:
    if not re.fullmatch(LABEL_KEY, text):
        raise ValueError("The name of a label has 1 to 63 characters: letters a to z, digits, and any of _ . / -.")
    return text


LabelKey = Annotated[
    str, pydantic.AfterValidator(_label_key), pydantic.WithJsonSchema({"type": "string", "pattern": LABEL_KEY})
]
LabelValue = Annotated[str, Field(max_length=new_task.MAX_LABEL_CHARACTERS)]
Reason = Annotated[str, Field(max_length=2_000)]
Id = Annotated[UUID, Field(strict=False)]
ShortReason = Annotated[str, Field(max_length=validation.LONGEST_REASON)]


def shown(**schema: Any) -> Any:
    """Return what the OpenAPI document says of a field beyond its type; the service checks it, in words of its own."""
    return Field(json_schema_extra=schema)


Priority = Annotated[str, shown(enum=list(priority.NAMES))]
DecisionName = Annotated[str, shown(enum=list(approvals.DECISIONS))]
WebhookFormat = Annotated[str, shown(enum=list(webhook_formats.FORMATS), description="as a chat shows it, or as it is")]
DeadlineS = Annotated[float, shown(minimum=1, maximum=new_task.LONGEST_DEADLINE_S)]


class Body(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True)


class Submit(Body):
    """POST /tasks: a new task."""

    model_config = like(
        {
            "kind": "support_reply",
            "input": {
                "subject": "Refund",
                "body": "How do I get my money back?",
                "customer_email": "reader@example.org",
            },
            "priority": "normal",
            "labels": {"from": "website"},
        }
    )

    kind: str = Field(min_length=1, max_length=100, description="the name of a workflow kind")
    input: dict[str, Any] = Field(description="is checked against the schema of the kind")
    priority: Priority = "normal"
    labels: dict[LabelKey, LabelValue] = Field(
        default={}, max_length=new_task.MAX_LABELS, json_schema_extra={"additionalProperties": False}
    )
    deadline_s: DeadlineS | None = Field(None, description="seconds after which a task that has not ended fails")
    run_at: Moment | None = Field(None, description="when it begins, at most 366 days ahead; without it, now")
    callback_url: str | None = Field(
        None, max_length=addresses.LONGEST_URL, description="receives the webhooks of this task"
    )


def _why(schema: dict[str, Any]) -> None:
    # The words about a missing reason are the service's, because the admin asks for it too.
    schema["required"] = [*schema.get("required", ()), "reason"]
    schema["properties"]["reason"] |= {"minLength": 1, "pattern": "\\S"}
    schema["properties"]["reason"].pop("default", None)


class Cancel(Body):
    """POST /tasks/{id}/cancel: why it ends."""

    model_config = like({"reason": "The customer has found the answer."})

    reason: Reason = ""


class GiveUp(Cancel):
    """POST /dead-letters/{id}/cancel: why its task ends."""

    model_config = pydantic.ConfigDict(json_schema_extra=_why)


class Notify(Body):
    """POST /dead-letters/{id}/notify: what the client of the task is told."""

    model_config = like({"text": "A part of your request failed. We are fixing it, and it goes on by itself."})

    text: Annotated[str, shown(minLength=1, maxLength=dead_letters.LONGEST_NOTICE, pattern=r"\S")]


class TaskFilter(Body):
    """Which tasks: of several states or kinds any fits, of several labels all must."""

    state: list[Literal[cancellations.OPEN]] = Field([], max_length=len(cancellations.OPEN))  # type: ignore[valid-type]
    kind: list[Annotated[str, Field(max_length=100)]] = Field([], max_length=20)
    label: dict[LabelKey, LabelValue] = Field({}, max_length=new_task.MAX_LABELS)
    created_after: Moment | None = None
    created_before: Moment | None = None
    updated_after: Moment | None = None
    q: str = Field("", max_length=search.LONGEST, description="words, as in the list of tasks")


class CancelAll(Body):
    """POST /tasks/cancel; those that fit now, the oldest first."""

    model_config = like({"filter": {"state": ["pending"], "label": {"from": "website"}}, "dry_run": True})

    filter: TaskFilter
    reason: Reason = ""
    dry_run: bool = False


class Fork(Body):
    """POST /tasks/{id}/fork: from where, and with what."""

    model_config = like({"from_stage": "generate_draft"})

    from_stage: str | None = Field(None, max_length=100, description="without it the answer, 422, lists the stages")
    input: dict[str, Any] | None = Field(None, description="used by the stages that run now; else that of the origin")


class Replay(Body):
    """POST /dead-letters/{id}/replay: all of it is optional."""

    payload: dict[str, Any] | None = Field(None, description="run with this one instead of its own")
    from_stage: str | None = Field(None, min_length=1, max_length=100, description="an earlier stage of its task")
    effect_happened: bool | None = Field(None, description="false: what it had begun to send has not arrived")
    reason: ShortReason = Field("", description="why, or how somebody found out that it has not arrived")


class Resolve(Body):
    """POST /dead-letters/{id}/resolve: the output, and how somebody knows it."""

    model_config = like({"output": {"text": "Your refund was paid on Monday."}, "reason": "Read in the ledger."})

    output: dict[str, Any]
    reason: Annotated[Reason, shown(minLength=1, pattern=r"\S")]


class ReplayAll(Body):
    """POST /dead-letters/replay; exactly one of fingerprint and type."""

    model_config = like({"fingerprint": "941030b96218", "canary": 1, "batch": 100})

    fingerprint: str = Field("", max_length=100, description="what equal failures share")
    type: str = Field("", max_length=100, description="a job type")
    canary: int = Field(1, ge=1, le=1_000, description="how many are replayed first")
    batch: int = Field(100, ge=1, le=1_000, description="how many of the others at once")


class Abort(Body):
    """POST /dead-letter-replays/{id}/abort: why it stops."""

    reason: Reason = ""


class Decide(Body):
    """POST /approvals/{id}/decision. `content_sha256` is what the approval showed when the person decided."""

    model_config = like({"decision": "approve", "content_sha256": "0" * 64})

    decision: DecisionName
    content_sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="that of the content which the person has read")
    content: dict[str, Any] | None = Field(
        None, description="with `edit`: send this instead. It has the fields of what was read, and other texts."
    )
    raise_to: Amount | None = Field(None, description="with `edit`: raise a budget to this instead")
    reason: Reason = Field("", description="required to request changes and to reject")


class Withdraw(Body):
    """POST /approvals/{id}/withdraw: why it is taken back."""

    reason: Reason = ""


class Claim(Body):
    """POST /approvals/{id}/claim."""

    take_over: bool = Field(False, description="claim it also where somebody else has claimed it")
    person: str | None = Field(
        None,
        max_length=150,
        description="the name of a person who shall look after it instead of anybody who did before",
    )


class Snooze(Body):
    """POST /approvals/{id}/snooze: until when lists do not show it; null: they show it again."""

    model_config = like({"until": "2030-01-31T08:00:00Z"})

    until: Moment | None


class LoadDocument(Body):
    """POST /documents; the same source again replaces the text."""

    model_config = like(
        {"source": "refunds.md", "title": "Refunds", "text": "# Refunds\n\nA refund is paid within five days.\n"}
    )

    source: Annotated[str, shown(minLength=1, maxLength=document_fields.LONGEST_SOURCE)]
    title: Annotated[str, shown(minLength=1, maxLength=document_fields.LONGEST_TITLE)]
    text: Annotated[str, shown(minLength=1, maxLength=document_fields.LONGEST_TEXT)]
    collection: Annotated[str, shown(maxLength=document_fields.LONGEST_COLLECTION)] = ""


def change_like(example: dict[str, Any]) -> pydantic.ConfigDict:
    """Return the configuration of a change with this example. It shows no defaults: what is left out stays as it is."""

    def describe(schema: dict[str, Any]) -> None:
        schema["examples"] = [example]
        for field in schema["properties"].values():
            field.pop("default", None)

    return pydantic.ConfigDict(json_schema_extra=describe)


class Rotate(Body):
    """POST /keys/self/rotate: for how long the old secret opens too."""

    overlap_s: int = Field(api_keys.OVERLAP_S, ge=0, le=api_keys.LONGEST_OVERLAP_S)


class SetMode(Body):
    """POST /limits/{scope}/{name}/resume."""

    model_config = like({"reason": "The provider is well again."})

    reason: ShortReason = Field("", description="is recorded with the change")


class StopKey(SetMode):
    """POST /limits/{scope}/{name}/pause and drain: why, as it is shown where jobs wait."""

    model_config = pydantic.ConfigDict(json_schema_extra=_why)


class StreamToken(Body):
    """POST /stream-tokens: what the token is for."""

    task: Id | None = Field(None, description="without it, all tasks that the key may see")


class ChangeWebhookEndpoint(Body):
    """PATCH /webhook-endpoints/{id}: what is left out stays as it is."""

    url: str = ""
    events: list[str] = Field([], max_length=50)
    description: str = ""
    format: WebhookFormat = "agentapp"
    is_enabled: bool = True

    def values(self) -> dict[str, Any]:
        """Return what was sent."""
        return self.model_dump(exclude_unset=True)


class NewWebhookEndpoint(Body):
    """POST /webhook-endpoints; without events it is told of all."""

    url: str
    events: list[str] = Field([], max_length=50, description="which events it receives; none stands for all")
    description: str = ""
    format: WebhookFormat = "agentapp"


class Nothing(Body):
    """Of an address that needs no body."""
