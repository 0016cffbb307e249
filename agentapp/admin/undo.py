"""Undo, offered right after an approval for as long as its mail is held."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest
from django.urls import reverse

from agentapp import clock, ids
from agentapp.admin import cells, evidence, masking
from agentapp.admin.base import principal_of
from agentapp.models import Approval
from agentapp.states import ApprovalState

PARAMETER = "undo"
SCOPE = "approvals:decide"


def url(approval: Approval) -> str:
    return reverse("admin:agentapp_approval_change", args=(approval.pk,))


def following(decided: Approval, page: str) -> str:
    """The page that opens after a decision: it offers to take back what is held."""
    if not left_s(decided):
        return page
    return f"{page}{'&' if '?' in page else '?'}{urlencode({PARAMETER: decided.pk})}"


def context(request: HttpRequest, record: Approval | None = None) -> dict[str, Any]:
    """What templates/agentapp/undo.html shows: the approval that was decided just now, or else this one."""
    if SCOPE not in principal_of(request).scopes:
        return {}
    asked = ids.parsed(request.GET.get(PARAMETER, ""))
    mine = principal_of(request).visible(Approval.objects.filter(state=ApprovalState.APPROVED))
    held = mine.filter(pk=asked).first() if asked else record
    if held is None or masking.hides(principal_of(request), held.tenant_id) or not (seconds := left_s(held)):
        return {"can_withdraw": _may_be_withdrawn(record)}
    title = cells.headline(evidence.title(held.content))
    return {"undo": {"url": url(held), "title": title, "left_s": seconds}, "can_withdraw": _may_be_withdrawn(record)}


def left_s(approval: Approval) -> int:
    """For how many seconds more the mail of this approval is held."""
    if approval.state != ApprovalState.APPROVED or approval.held_until is None:
        return 0
    return max(0, round((approval.held_until - clock.now()).total_seconds()))


def _may_be_withdrawn(record: Approval | None) -> bool:
    """Whether it is worth a try: only the move knows whether anything was sent."""
    return record is not None and record.state == ApprovalState.APPROVED and record.workflow.finished_at is None
