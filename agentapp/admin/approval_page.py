"""The page on which a person decides: everything that is needed for it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from agentapp.admin import deciding, evidence, question, revisions, what_follows
from agentapp.admin.base import principal_of
from agentapp.admin.prose_diff import Piece
from agentapp.models import Approval, History
from agentapp.policies import facts
from agentapp.services import already_sent, deciders
from agentapp.states import ApprovalState


def context(request: HttpRequest, approval: Approval) -> dict[str, Any]:
    """What the template shows beside the neighbours in the list."""
    rounds = revisions.rounds(approval)
    texts = revisions.of(rounds)
    chosen = revisions.compare(
        texts, rounds, before=request.GET.get("before", ""), after=request.GET.get("after", "")
    )  # fmt: skip
    sources = [evidence.source(source) for source in approval.sources]
    shown = evidence.shown(approval.content)
    sentences = [] if approval.content.get("calls") else evidence.body(approval.content, sources)
    return {
        "can_decide": deciders.takes_part(principal_of(request), approval),
        "workflow": approval.workflow,
        "already_sent": already_sent.of([approval])[approval.workflow_id],
        "question": question.of(principal_of(request), approval.workflow),
        "head": shown["head"],
        "body": shown["body"],
        "sentences": sentences,
        "has_bare": any(sentence.is_bare for sentence in sentences),
        "other_recipient": other_recipient(approval),
        "revisions": texts,
        "comparison": chosen,
        "remarks": _remarks(request, rounds[:-1]),
        "fields": deciding.fields(approval),
        "sources": sources,
        "evaluation": evidence.evaluation(approval),
        "follows": what_follows.of(approval),
        "is_edited": _is_edited(approval),
    }


def edit(approval: Approval, content: dict[str, Any] | None) -> list[Piece]:
    """What an edit that is to be confirmed changes in the content that was shown."""
    return revisions.changes(approval.content, content) if content and content != approval.content else []


def _remarks(request: HttpRequest, rounds: list[Approval]) -> list[tuple[str, Approval]]:
    """What was asked for in the rounds before, newest first, and by whom."""
    asked = [each for each in reversed(rounds) if each.state == ApprovalState.CHANGES_REQUESTED]
    return [("You" if each.decided_by_user == request.user else str(_decider(each)), each) for each in asked]


def _decider(approval: Approval) -> Any:
    refreshed = "A refresh of stale drafts" if approval.refreshed_by else "Somebody"
    return approval.decided_by_user or approval.decided_by_key or refreshed


def other_recipient(approval: Approval) -> str:
    """The customer's address, where the recipient is another; empty where it is the same, or where none is known."""
    customer, to = question.customer(approval.workflow), approval.content.get("to")
    if not customer or not isinstance(to, str) or facts.about(customer) == facts.about(to):
        return ""
    return customer


def _is_edited(approval: Approval) -> bool:
    """Whether the person that approved has sent another text than the one that was shown."""
    if approval.state != ApprovalState.APPROVED or approval.content == approval.draft:
        return False
    rows = History.objects.filter(workflow_id=approval.workflow_id, approval_id=approval.pk, to_state=approval.state)
    return any((row.data or {}).get("edited") for row in rows)
