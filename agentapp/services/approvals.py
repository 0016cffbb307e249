"""The inbox of decisions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from agentapp import conf
from agentapp.dispatch import approval_spans, publisher
from agentapp.errors import InvalidInput, NotFound, PermissionDenied
from agentapp.lifecycle import decide as moves
from agentapp.models import Approval
from agentapp.policies import budgets, mail_header, sentences, storable
from agentapp.policies.content import canonical_sha256, is_mail
from agentapp.services import deciders, recipients, validation
from agentapp.services.principals import Principal, owner
from agentapp.states import ApprovalState

DECISIONS = {
    "approve": ApprovalState.APPROVED,
    "edit": ApprovalState.APPROVED,
    "request_changes": ApprovalState.CHANGES_REQUESTED,
    "reject": ApprovalState.REJECTED,
}
NEEDS_REASON = {"request_changes": "Say what should change.", "reject": "Say why it is rejected."}
MAX_BODY_CHARACTERS = 50_000
# The texts of a mail in the order in which a person reads them; others come after them.
_FIRST = ("to", "subject", "body")
HIGH_RISK = "This is of high risk"
NEW_RECIPIENT = "The recipient was changed"
SECOND_STEP = "{}: approving it takes a second step, which names the hash of what is sent."
OTHER_RECIPIENT = "The recipient cannot be changed here: no policy allows it. Reject this, and submit the task again."


def listing(principal: Principal) -> QuerySet[Approval]:
    """The approvals that the principal may see, oldest first."""
    principal.require("approvals:read")
    rows = principal.visible(Approval.objects.all()).select_related("workflow", "tenant")
    return rows.prefetch_related("votes__user", "votes__for_user", "votes__api_key").order_by("id")


def get(principal: Principal, approval_id: UUID) -> Approval:
    """Raises NotFound; another tenant's approval is as unknown as one that does not exist."""
    approval = listing(principal).filter(pk=approval_id).first()
    if approval is None:
        raise NotFound(f"This tenant has no approval {approval_id}.")
    return approval


def to_decide(principal: Principal, approval_id: UUID) -> Approval:
    """An approval in whose tenant the principal may decide. Raises NotFound and PermissionDenied."""
    principal.require("approvals:decide")
    approval = get(principal, approval_id)
    principal.require("approvals:decide", approval.tenant_id)
    return approval


def decide(
    principal: Principal,
    approval_id: UUID,
    *,
    decision: str,
    content_sha256: str,
    content: dict[str, Any] | None = None,
    raise_to: str | None = None,
    reason: str = "",
    confirmed_sha256: str = "",
) -> Approval:
    """Record a person's decision on the bytes that hash to `content_sha256`, and let the task go on. [G3]

    `decision` is approve, edit (approve `content` instead, or of a budget `raise_to`), request_changes (`reason` is
    the remark) or reject. At high risk, and where the recipient was changed, a person approves in two steps:
    `confirmed_sha256` is the hash of what would be sent, which the second one has shown. A key takes one: its request
    names the content that it has read, and holds the one that it sends instead. What is returned is still pending
    where the policy that asked wants more people to approve, or another one than who edited.

    Raises:
        IllegalMove: somebody was faster, it expired, or the content is no longer what was shown.
        InvalidInput: an unknown decision, a missing reason, a content with other fields than the one shown, with
            something else changed than the texts that are `editable`, with another recipient where no policy allows
            that, or with an address or a subject that cannot stand in a mail; or the second step is missing.
        PermissionDenied: the scope approvals:decide is missing, or by the policy somebody else must decide.
    """
    _check_words(principal, decision, reason)
    approval = to_decide(principal, approval_id)
    raised = None if raise_to is None else approval.content | {"raise_to": raise_to}
    edited = _edited(approval, decision=decision, content=raised if content is None else content)
    if principal.user is not None or confirmed_sha256:
        sent = edited or (approval.content, approval.content_sha256)
        if DECISIONS[decision] == ApprovalState.APPROVED and confirmed_sha256 != sent[1]:
            _check_second_step(principal, approval, decision, shown_sha256=content_sha256, content=sent[0])
    opened = moves.decide(
        approval, to=DECISIONS[decision], content_sha256=content_sha256, actor=principal.actor, **owner(principal),
        reason=reason, edited=edited, hold_s=hold_s(approval, to=DECISIONS[decision]),
    )  # fmt: skip
    publisher.publish(opened)
    return _decided(principal, approval_id)


def _decided(principal: Principal, approval_id: UUID) -> Approval:
    approval = get(principal, approval_id)
    approval_spans.add(approval)
    return approval


def _check_words(principal: Principal, decision: str, reason: str) -> None:
    principal.require("approvals:decide")
    if decision not in DECISIONS:
        raise InvalidInput.at("decision", f"There is no decision {decision!r}. Choose one of: {', '.join(DECISIONS)}.")
    if decision in NEEDS_REASON and not reason.strip():
        raise InvalidInput.at("reason", NEEDS_REASON[decision])


def why_second_step(approval: Approval, content: dict[str, Any]) -> str:
    """Why a person must confirm by its hash that this content is sent; empty where one step is enough."""
    if approval.risk == "high":
        return HIGH_RISK
    return NEW_RECIPIENT if recipients.replaced(approval, content) else ""


def _check_second_step(
    principal: Principal, approval: Approval, decision: str, *, shown_sha256: str, content: dict[str, Any]
) -> None:
    why = why_second_step(approval, content)
    if not why:
        return
    # The step is one of the text as it is now: in the hands of somebody who has read another one, or who may not
    # approve, it would undo what was written since, or lead nowhere.
    moves.check_shown(approval, shown_sha256)
    if decision == "approve" or not deciders.takes_part(principal, approval):
        refused = deciders.refusal(principal, approval)
        if refused:
            raise PermissionDenied(refused)
    raise InvalidInput.at("confirmed_sha256", SECOND_STEP.format(why))


def hold_s(approval: Approval, *, to: ApprovalState = ApprovalState.APPROVED) -> float:
    """For how long what follows waits: only a mail cannot be taken back once it was sent."""
    return conf.send_hold_s() if to == ApprovalState.APPROVED and is_mail(approval.content) else 0.0


def _edited(approval: Approval, *, decision: str, content: dict[str, Any] | None) -> tuple[dict[str, Any], str] | None:
    """The content of an edit and its hash; or None, when what was shown is decided. Raises InvalidInput."""
    if decision == "edit":
        new = _checked(content, approval)
        if "budget" in approval.content and (problem := budgets.problem(new, shown=approval.content)):
            raise InvalidInput.at("content.raise_to", problem)
        if "budget" in approval.content:
            new = budgets.reworded(new, shown=approval.content)
        return new, canonical_sha256(new)
    if content is not None:
        raise InvalidInput.at("content", "Only the decision edit takes a content.")
    if decision == "approve":
        _check_header(approval.content, more=" Edit it, or request changes.")
    return None


def editable(approval: Approval) -> list[str]:
    """The texts of a content that an edit may change, those of a mail first. Calls of tools are the model's own."""
    shown = approval.content
    if "calls" in shown:
        return []
    if "budget" in shown:
        return ["raise_to"] if "raise_to" in shown else []
    texts = [name for name, value in shown.items() if isinstance(value, str)]
    if not deciders.rules(approval)["may_change_recipient"]:
        texts = [name for name in texts if name != "to"]
    return sorted(texts, key=lambda name: _FIRST.index(name) if name in _FIRST else len(_FIRST))


def _checked(content: dict[str, Any] | None, approval: Approval) -> dict[str, Any]:
    """The content of an edit, which changes texts, not fields: all else is as it was shown."""
    shown, texts = approval.content, editable(approval)
    if not texts and "to" not in shown:
        # Calls of tools: those that run are the model's own.
        instead = "Reject it, and say why." if approval.job_id else "Request changes, and say which."
        raise InvalidInput.at("decision", f"This content cannot be edited. {instead}")
    if not isinstance(content, dict) or set(content) != set(shown):
        raise InvalidInput.at("content", f"The content must have exactly these fields: {', '.join(sorted(shown))}.")
    validation.raise_problems(_problems(content, shown, texts))
    _check_header(content)
    return content if "budget" in shown else shown | {name: content[name] for name in texts}


def _problems(content: dict[str, Any], shown: dict[str, Any], texts: list[str]) -> Iterator[tuple[str, str]]:
    for name in [name for name, value in content.items() if value != shown[name]]:
        value = content[name]
        if name == "to" and name not in texts:
            yield "content.to", mail_header.address_problem(value) or OTHER_RECIPIENT
        elif name not in texts and "budget" not in shown:
            yield f"content.{name}", f"This cannot be edited; a text can: {', '.join(texts)}."
        elif not (isinstance(value, str) and value.strip() and storable.is_storable(value)) or (
            len(value) > MAX_BODY_CHARACTERS
        ):
            yield f"content.{name}", f"content.{name} must be a text of 1 to {MAX_BODY_CHARACTERS} characters."


def _check_header(content: dict[str, Any], *, more: str = "") -> None:
    """See that what would be sent has an address and a subject that a mail can have. Raises InvalidInput."""
    found = mail_header.problems(content)
    if found:
        errors = [{"field": f"content.{name}", "message": sentence} for name, sentence in found.items()]
        raise InvalidInput(f"{sentences.detail(errors)}{more}", errors=errors)
