"""Who decides on approvals. For operators."""

from __future__ import annotations

from typing import Annotated

import pydantic
from pydantic import Field
from typing_extensions import TypedDict

from agentapp.api.answers import values
from agentapp.api.answers.values import Moment
from agentapp.models.approval_policy import ContentKind, ExpiryAction


@pydantic.with_config(
    values.like(
        {
            "id": 3, "name": "two people for mails", "tenant": "demo", "kind": "support_reply", "content_kind": "mail",
            "approvers": ["agent"], "four_eyes": True, "quorum": 2, "deadline_s": 86_400, "on_expiry": "expire",
            "remind_after_s": 14_400, "escalate_after_s": 43_200, "escalate_to": ["operator"],
            "may_change_recipient": False, "mails_approvers": False, "sample_percent": 100, "note": "",
            "warning": None, "updated_at": values.MOMENT,
        }
    )
)  # fmt: skip
class ApprovalPolicy(TypedDict):
    """Which people decide on which approvals. The most specific one that fits asks."""

    id: int
    name: str
    tenant: Annotated[str | None, Field(description="slug; null: all tenants")]
    kind: Annotated[str, Field(description="a workflow kind, or a pattern such as support_*; empty: all")]
    content_kind: Annotated[str, values.one_of(["", *ContentKind.values])]
    approvers: Annotated[list[str], Field(description="names of groups; empty: all who have the right to decide")]
    four_eyes: bool
    quorum: int
    deadline_s: int | None
    on_expiry: Annotated[str, values.one_of(ExpiryAction.values)]
    remind_after_s: int | None
    escalate_after_s: int | None
    escalate_to: list[str]
    may_change_recipient: bool
    mails_approvers: bool
    sample_percent: Annotated[int, Field(description="of mails of low risk: how many a person is asked about")]
    note: str
    warning: Annotated[str | None, Field(description="in which tenants nobody can decide what it asks, and why")]
    updated_at: Moment
