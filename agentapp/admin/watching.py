"""What the page of an approval asks while it is open: who else looks, and whether anything has changed."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse

from agentapp.models import Approval
from agentapp.services import assignments, presence


def answer(request: HttpRequest, approval: Approval) -> JsonResponse:
    """Say who looks at it beside this person, and what it is by now; names, not ids."""
    decider = approval.decided_by_user or approval.decided_by_key
    told = {
        "state": approval.state,
        "content_sha256": approval.content_sha256,
        "decided_by": str(decider or ("a refresh of stale drafts" if approval.refreshed_by else "")),
        "holder": assignments.holder(approval),
        "looking": presence.look(approval.pk, request.user.get_username()),
    }
    return JsonResponse(told, headers={"Cache-Control": "no-store"})
