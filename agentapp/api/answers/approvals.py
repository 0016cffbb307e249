"""What waits for a decision."""

from __future__ import annotations

from typing import Annotated, Any

import pydantic
from pydantic import Field
from typing_extensions import TypedDict

from agentapp.api.answers import values
from agentapp.api.answers.values import ApprovalState, Id, Moment, Object, Risk, Sha256


@pydantic.with_config(
    values.like(
        {
            "id": values.SECOND_ID, "task": values.ID, "state": "pending",
            "content": {"to": "customer@example.org", "subject": "Re: Refund", "body": "Open Billing. [1]"},
            "content_sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "sources": [], "evaluation": {"score": 0.9, "verdict": "pass"}, "risk": "low", "expires_at": None,
            "created_at": values.MOMENT, "decided_at": None, "decided_by": None, "reason": None, "held_until": None,
        }
    )
)  # fmt: skip
class Approval(TypedDict):
    """What will be sent, byte for byte, and what was decided about it."""

    id: Id
    task: Id
    state: ApprovalState
    content: Object
    content_sha256: Annotated[Sha256, Field(description="send it with the decision")]
    sources: list[Any]
    evaluation: Object | None
    risk: Risk
    expires_at: Moment | None
    created_at: Moment
    decided_at: Moment | None
    decided_by: Annotated[str | None, Field(description="user:<name> or key:<prefix>")]
    reason: str | None
    held_until: Annotated[
        Moment | None, Field(description="an approved mail is not sent before; withdraw it until then")
    ]
