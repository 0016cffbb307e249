"""Approvals as the API shows them to one who asks: with their votes, and whether they may decide."""

from __future__ import annotations

from django.contrib.auth.base_user import AbstractBaseUser

from agentapp.api.answers import approvals as answers
from agentapp.api.answers.forks import AlreadySent
from agentapp.api.shapes import time
from agentapp.models import ApiKey, Approval, ApprovalVote
from agentapp.services import already_sent, deciders, electorates, recipients
from agentapp.services.already_sent import Sent
from agentapp.services.principals import KEY, USER, Principal
from agentapp.states import ApprovalState

POLICY = "policy:"
# What a list reads with its rows.
WHO = ("decided_by_user", "decided_by_key", "claimed_by_user", "claimed_by_key")


def each(principal: Principal, rows: list[Approval]) -> list[answers.Approval]:
    """Shape a list; the groups of who asks are looked up once."""
    sent = already_sent.of(rows)
    refusals = deciders.refusals(principal, rows)
    stuck = electorates.undecidable(rows)
    return [_approval(row, refusals[row.pk], stuck[row.pk], sent[row.workflow_id]) for row in rows]


def one(principal: Principal, row: Approval) -> answers.Approval:
    return each(principal, [row])[0]


def _approval(row: Approval, refusal: str, undecidable: str, sent: list[Sent]) -> answers.Approval:
    rules = deciders.rules(row)
    return {
        "id": str(row.pk),
        "task": str(row.workflow_id),
        "job": str(row.job_id) if row.job_id else None,
        "summary": row.summary or None,
        "state": row.state,
        "content": row.content,
        "content_sha256": row.content_sha256,
        "sources": row.sources,
        "evaluation": row.evaluation,
        "risk": row.risk,
        "expires_at": time(row.expires_at),
        "created_at": time(row.created_at),
        "decided_at": time(row.decided_at),
        "decided_by": _decider(row),
        "reason": row.reason or None,
        "held_until": time(row.held_until),
        "claimed_by": _name(row.claimed_by_user, row.claimed_by_key),
        "claimed_until": time(row.claimed_until),
        "snoozed_until": time(row.snoozed_until),
        "policy": rules["name"] or None,
        "quorum": rules["quorum"],
        "votes": [_vote(vote, row) for vote in sorted(row.votes.all(), key=lambda vote: vote.pk)],
        "votes_missing": deciders.votes_missing(row),
        "may_decide": not refusal,
        "refusal": refusal or None,
        "undecidable": undecidable or None,
        "bypassed_customer": recipients.bypassed_customer(row, row.content) or None,
        "already_sent": [sent_already(each) for each in sent],
    }


def sent_already(sent: Sent) -> AlreadySent:
    return {
        "task": str(sent.task), "type": sent.type, "at": time(sent.at), "is_certain": sent.is_certain, "to": sent.to,
        "subject": sent.subject,
    }  # fmt: skip


def _vote(vote: ApprovalVote, row: Approval) -> answers.Vote:
    return {
        "by": _name(vote.user, vote.api_key), "instead_of": _name(vote.for_user, None), "decision": vote.decision,
        "content_sha256": vote.content_sha256,
        "counts": deciders.counts(vote, row), "has_edited": vote.has_edited, "reason": vote.reason or None,
        "at": time(vote.at),
    }  # fmt: skip


def _decider(row: Approval) -> str | None:
    """Return who decided, in the words of the history; or the policy that let it pass, or the task that refreshed."""
    if row.refreshed_by is not None:
        return f"task:{row.refreshed_by}"
    if row.state == ApprovalState.APPROVED and row.decided_by_user is None and row.decided_by_key is None:
        return f"{POLICY}{deciders.rules(row)['name']}" if row.policy else None
    return _name(row.decided_by_user, row.decided_by_key)


def _name(user: AbstractBaseUser | None, key: ApiKey | None) -> str | None:
    if user is not None:
        return f"{USER}{user.get_username()}"
    return f"{KEY}{key.prefix}" if key is not None else None
