"""What clients send of approval policies."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from agentapp.api.schemas import Body, ShortReason, change_like, shown
from agentapp.services import approval_policies

EXAMPLE = {"name": "two people for mails", "tenant": "demo", "kind": "support_reply", "quorum": 2, "deadline_s": 86_400}
_LONGEST, _NUMBERS = approval_policies.LONGEST, approval_policies.NUMBERS
_CHOICES = approval_policies.CHOICES
_Groups = Annotated[list[str], Field(max_length=approval_policies.MOST_GROUPS)]


def _between(name: str) -> Any:
    least, most = _NUMBERS[name]
    return shown(minimum=least, maximum=most)


class ChangeApprovalPolicy(Body):
    """PATCH /approval-policies/{id}: what is left out stays as it is."""

    model_config = change_like(EXAMPLE | {"reason": "a second pair of eyes"})

    name: Annotated[str, shown(minLength=1, maxLength=_LONGEST["name"])] = ""
    tenant: str | None = Field(None, max_length=100, description="slug; null: all tenants")
    kind: str = Field(
        "", max_length=_LONGEST["kind"], description="a workflow kind, or a pattern such as support_*; empty: all"
    )
    content_kind: Annotated[str, shown(enum=list(_CHOICES["content_kind"]), description="empty: all")] = ""
    approvers: _Groups = Field([], description="names of groups whose members decide; empty: all who have the right to")
    four_eyes: bool = Field(False, description="who submitted or edited it does not approve it")
    quorum: Annotated[int, _between("quorum")] = 1
    deadline_s: Annotated[int | None, _between("deadline_s")] = None
    on_expiry: Annotated[str, shown(enum=list(_CHOICES["on_expiry"]))] = "expire"
    remind_after_s: Annotated[int | None, _between("remind_after_s")] = None
    escalate_after_s: Annotated[int | None, _between("escalate_after_s")] = None
    escalate_to: _Groups = Field([], description="names of groups whose members decide too after escalate_after_s")
    may_change_recipient: bool = Field(False, description="an edit may change to whom a mail goes")
    mails_approvers: bool = Field(False, description="those who may decide are told by mail")
    sample_percent: Annotated[int, _between("sample_percent")] = 100
    note: Annotated[str, shown(maxLength=_LONGEST["note"])] = ""
    reason: ShortReason = Field("", description="is recorded with the change")

    def values(self) -> dict[str, Any]:
        """Return what was sent."""
        return self.model_dump(exclude={"reason"}, exclude_unset=True)


class NewApprovalPolicy(ChangeApprovalPolicy):
    """POST /approval-policies and PUT /approval-policies/{id}: what is left out has its default."""

    name: Annotated[str, shown(minLength=1, maxLength=_LONGEST["name"])]

    def whole(self) -> dict[str, Any]:
        """Return all values, with the defaults of those that were not sent."""
        return self.model_dump(exclude={"reason"})
