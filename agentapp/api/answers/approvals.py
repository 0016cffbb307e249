"""What waits for a decision."""

from __future__ import annotations

from typing import Annotated, Any

import pydantic
from pydantic import Field
from typing_extensions import TypedDict

from agentapp.api.answers import values
from agentapp.api.answers.forks import AlreadySent
from agentapp.api.answers.values import ApprovalState, Id, Moment, Object, Risk, Sha256
from agentapp.models.approval_policy import VoteDecision


class Vote(TypedDict):
    """What one person, or one key, has said of one revision of an approval."""

    by: Annotated[str | None, Field(description="user:<name> or key:<prefix>")]
    instead_of: Annotated[str | None, Field(description="user:<name> of who has delegated it to them")]
    decision: Annotated[str, values.one_of(VoteDecision.values)]
    content_sha256: Sha256
    counts: Annotated[
        bool, Field(description="false: of content that has been edited since, or of an account that is not active")
    ]
    has_edited: bool
    reason: str | None
    at: Moment


@pydantic.with_config(
    values.like(
        {
            "id": values.SECOND_ID, "task": values.ID, "job": None, "summary": None, "state": "pending",
            "content": {"to": "customer@example.org", "subject": "Re: Refund", "body": "Open Billing. [1]"},
            "content_sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "sources": [], "evaluation": {"score": 0.9, "verdict": "pass"}, "risk": "low", "expires_at": None,
            "created_at": values.MOMENT, "decided_at": None, "decided_by": None, "reason": None, "held_until": None,
            "policy": "two people for mails", "quorum": 2, "votes_missing": 1, "may_decide": False,
            "refusal": "By the policy two people for mails only people of these groups decide here: agent.",
            "undecidable": None,
            "votes": [
                {
                    "by": "user:kim", "decision": "approved", "content_sha256": "9f86d081884c7d659a2feaa0c55ad015"
                    "a3bf4f1b2b0b822cd15d6c15b0f00a08", "counts": True, "has_edited": False, "instead_of": None,
                    "reason": None, "at": values.MOMENT,
                }
            ],
            "claimed_by": None, "claimed_until": None, "snoozed_until": None,
            "bypassed_customer": None, "already_sent": [],
        }
    )
)  # fmt: skip
class Approval(TypedDict):
    """What will be sent, byte for byte, and what was decided about it."""

    id: Id
    task: Id
    job: Annotated[Id | None, Field(description="the job that asks and waits; null: a decision of the plan")]
    summary: Annotated[str | None, Field(description="what a job asks, in a sentence")]
    state: ApprovalState
    content: Object
    content_sha256: Annotated[Sha256, Field(description="send it with the decision")]
    sources: list[Any]
    evaluation: Object | None
    risk: Risk
    expires_at: Moment | None
    created_at: Moment
    decided_at: Moment | None
    decided_by: Annotated[
        str | None, Field(description="user:<name>, key:<prefix>, policy:<name>, or task:<id> that refreshed it")
    ]
    reason: str | None
    held_until: Annotated[
        Moment | None, Field(description="an approved mail is not sent before; withdraw it until then")
    ]
    policy: Annotated[str | None, Field(description="the name of the policy that asked")]
    quorum: Annotated[int, Field(description="how many people must approve the same content")]
    votes: list[Vote]
    votes_missing: Annotated[int, Field(description="how many people must still approve it")]
    may_decide: Annotated[bool, Field(description="who asks may approve it as it is")]
    refusal: Annotated[str | None, Field(description="why not")]
    undecidable: Annotated[str | None, Field(description="why nobody can approve it, by the groups as they are now")]
    claimed_by: Annotated[str | None, Field(description="who looks after it; after `claimed_until` nobody does")]
    claimed_until: Moment | None
    snoozed_until: Annotated[Moment | None, Field(description="lists do not show it before")]
    bypassed_customer: Annotated[
        str | None, Field(description="the address of the customer, where the content goes to another")
    ]
    already_sent: Annotated[
        list[AlreadySent], Field(description="by the task that this one is a fork of, or its forks")
    ]
