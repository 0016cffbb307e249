"""The page on which a person decides: everything that is needed for it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from agentapp.admin import deciding, evidence, question, revisions, what_follows
from agentapp.admin.base import principal_of
from agentapp.models import Approval
from agentapp.policies.content import canonical_sha256
from agentapp.services import already_sent, approvals, deciders, recipients
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
        "bypassed_customer": recipients.bypassed_customer(approval, approval.content),
        "replaced_recipient": recipients.replaced(approval, approval.content),
        "revisions": texts,
        "comparison": chosen,
        "remarks": _remarks(request, rounds[:-1]),
        "fields": deciding.fields(approval),
        "sources": sources,
        "evaluation": evidence.evaluation(approval),
        "follows": what_follows.of(approval, approval.content),
        "edited_by": _editors(approval),
    }


def second_step(approval: Approval, content: dict[str, Any]) -> dict[str, Any]:
    """What approval/confirm.html shows: all of it is said of the content that would be sent, not of the one before."""
    is_edited = content != approval.content
    return {
        "confirm": canonical_sha256(content),
        "decides": "edit" if is_edited else "approve",
        "why": approvals.why_second_step(approval, content),
        "replaced_recipient": recipients.replaced(approval, content),
        "bypassed_customer": recipients.bypassed_customer(approval, content),
        "edit": revisions.changes(approval.content, content) if is_edited else [],
        "follows": what_follows.of(approval, content),
    }


def _remarks(request: HttpRequest, rounds: list[Approval]) -> list[tuple[str, Approval]]:
    """What was asked for in the rounds before, newest first, and by whom."""
    asked = [each for each in reversed(rounds) if each.state == ApprovalState.CHANGES_REQUESTED]
    return [("You" if each.decided_by_user == request.user else str(_decider(each)), each) for each in asked]


def _decider(approval: Approval) -> Any:
    refreshed = "A refresh of stale drafts" if approval.refreshed_by else "Somebody"
    return approval.decided_by_user or approval.decided_by_key or refreshed


def _editors(approval: Approval) -> list[str]:
    """Who has edited the text, in their order, also where somebody else has approved it."""
    if approval.content == approval.draft:
        return []
    edits = approval.votes.filter(has_edited=True).select_related("user", "api_key").order_by("id")
    return list(dict.fromkeys(str(vote.user or vote.api_key) for vote in edits))
