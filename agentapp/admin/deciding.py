"""What a person decided on a page: the decision, and the texts of its form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse

from agentapp.errors import InvalidInput
from agentapp.models import Approval
from agentapp.policies import budgets
from agentapp.services import approvals
from agentapp.states import ApprovalState

# Read by drafts.js, which then forgets the text that it has kept for this approval.
DECIDED = "agentapp_decided"
_DECIDED_S = 600
_DONE = {
    "approve": "Approved: it is being sent.",
    "edit": "Approved with your edit: it is being sent.",
    "request_changes": "Your remark went back: another draft will come.",
    "reject": "Rejected: nothing is sent.",
}
_DONE_OF_JOB = {
    "approve": "Approved: the job goes on.",
    "edit": "Approved with your edit: the job goes on.",
    "reject": "Rejected: the job is told so.",
}
UNSAVED = "You have an edit that is not saved. Choose “Save edit and approve”, or drop the edit."
CONFIRM = "Approving this takes a second step. Read once more what will be sent, then confirm."

_LABELS = {"to": "Recipient", "subject": "Subject", "body": "Body", "raise_to": "Raise it to"}
# A longer text gets more than one line.
_LONG = 80


@dataclass(frozen=True)
class Wanted:
    """`content` is what is approved instead of the content that was shown."""

    decision: str
    reason: str
    content_sha256: str
    content: dict[str, Any] | None
    confirmed_sha256: str = ""


def read(request: HttpRequest, approval: Approval) -> Wanted:
    """Return the decision of a form. An edit that changes nothing approves what was shown; one that holds none of the
    texts has no content, which the service refuses.

    Raises:
        InvalidInput: what was shown is approved by a form whose texts were edited.
    """
    decision, shown = request.POST.get("decision", ""), request.POST.get("content_sha256", "")
    content = edited(request, approval) if decision in ("approve", "edit") else None
    is_same = content == approval.content
    if decision == "edit" and not any(field.sent_as in request.POST for field in fields(approval)):
        content = None
    elif decision == "edit" and is_same:
        decision = "approve"
    # Where the content has changed since it was shown, the service says so.
    if decision == "approve" and not is_same and shown == approval.content_sha256:
        raise InvalidInput(UNSAVED)
    reason, confirmed = request.POST.get("reason", "").strip(), request.POST.get("confirmed_sha256", "")
    return Wanted(decision, reason, shown, content if decision == "edit" else None, confirmed)


@dataclass(frozen=True)
class Text:
    """A text for editing. The form sends one that a package has named under a name that nothing else of it has."""

    name: str
    sent_as: str
    id: str
    label: str
    is_long: bool


def fields(approval: Approval) -> list[Text]:
    """The texts of a content that are for editing, as the form shows them."""
    return [_text(approval.content[name], name, n) for n, name in enumerate(approvals.editable(approval))]


def _text(text: str, name: str, n: int) -> Text:
    if name in _LABELS:
        return Text(name, name, name, _LABELS[name], is_long=name == "body")
    return Text(name, f"content.{name}", f"own-{n}", name, is_long=len(text) > _LONG or "\n" in text)


def edited(request: HttpRequest, approval: Approval) -> dict[str, Any]:
    """The content with the texts of the form. Arguments stay: they are not for retyping.

    Browsers send line ends as CRLF whatever they were given, and none of a line; without this every form would change
    every line.
    """
    content = dict(approval.content)
    for field in fields(approval):
        if field.sent_as not in request.POST:
            continue
        text, before = _lines(request.POST[field.sent_as]), content[field.name]
        if text not in (_lines(before), _lines(before).replace("\n", "")):
            content[field.name] = text.replace("\n", "\r\n") if "\r\n" in before else text
    return budgets.reworded(content, shown=approval.content) if "budget" in content else content


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def errors(error: Exception) -> dict[str, str]:
    """What is wrong with each text of the form, to be shown beside it."""
    found = getattr(error, "errors", [])
    return {str(each.get("field", "")).removeprefix("content."): str(each.get("message", "")) for each in found}


def said(decision: str, decided: Approval) -> str:
    """What came of a decision; of one that several people make, what is still missing."""
    if decided.state != ApprovalState.PENDING:
        words = (_DONE if decided.job_id is None else _DONE_OF_JOB).get(decision, "Decided.")
        return words.replace("it is being sent", "it is sent soon, unless you undo it") if decided.held_until else words
    edited = "Your edit is saved. " if decision == "edit" else ""
    return f"{edited}Votes that are still missing for this content: {decided.votes_missing}."


def decided(response: HttpResponse, request: HttpRequest, approval: Approval) -> HttpResponse:
    """Let the browser forget the text that it has kept for this approval."""
    response.set_cookie(
        DECIDED, f"{request.user.pk}:{approval.pk}", max_age=_DECIDED_S, secure=request.is_secure(), samesite="Lax"
    )  # fmt: skip
    return response
