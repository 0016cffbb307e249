"""What a customer asked, and what is known of them: their earlier tasks, what was answered, and what they replied."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from agentapp.admin import cells, hidden_characters
from agentapp.admin.hidden_characters import Stretch
from agentapp.models import Approval, Message, Reply, Workflow
from agentapp.policies import facts
from agentapp.services import messages, recipients, task_filters, workflows
from agentapp.services.principals import Principal
from agentapp.states import TASK_ORIGINS, ApprovalState, Origin

# In this order, whatever order Postgres keeps the keys of JSON in.
_FIRST = ("subject", "title", "question", "topic", recipients.CUSTOMER, "body")
_SHORT = 200
# More of a text is shown when it is asked for.
SHOWN_CHARACTERS = 1_500
MOST_EARLIER, MOST_MESSAGES = 5, 5
# Of the tasks that name an address, those of other customers are left out.
_MOST_LOOKED_AT = 30


@dataclass(frozen=True)
class Text:
    """A text, whose rest is shown when it is asked for."""

    name: str
    shown: list[Stretch]
    rest: list[Stretch] = field(default_factory=list)
    rest_characters: int = 0


@dataclass(frozen=True)
class Earlier:
    """An earlier task of the same customer: what they asked, what was sent, and what they replied."""

    task: Workflow
    title: str
    asked: Text
    answered: Text | None
    replies: list[Text]


def of(principal: Principal, task: Workflow) -> dict[str, Any]:
    """The question for a page: {"lines": [(name, stretches)], "texts", "customer", "messages", "earlier"}."""
    values = sorted(task.input.items(), key=lambda item: _place(item[0])) if isinstance(task.input, dict) else []
    written = [(name, value if isinstance(value, str) else cells.pretty(value)) for name, value in values]
    written = [(name, text) for name, text in written if text and text not in ("null", "{}", "[]")]
    return {
        "lines": [(_words(name), hidden_characters.reveal(text)) for name, text in written if _is_line(name, text)],
        "texts": [_text(name, text) for name, text in written if not _is_line(name, text)],
        "customer": recipients.customer(task),
        "messages": _said(principal, task),
        "earlier": _earlier(principal, task),
    }


def _place(name: str) -> tuple[int, str]:
    return (_FIRST.index(name) if name in _FIRST else len(_FIRST), name)


def _is_line(name: str, text: str) -> bool:
    return name != "body" and len(text) <= _SHORT and "\n" not in text


def _words(name: str) -> str:
    return name.replace("_", " ")


def _text(name: str, text: str) -> Text:
    shown, rest = text[:SHOWN_CHARACTERS], text[SHOWN_CHARACTERS:]
    return Text(_words(name), hidden_characters.reveal(shown), hidden_characters.reveal(rest), len(rest))


def _said(principal: Principal, task: Workflow) -> list[Text]:
    """The latest messages of a conversation, oldest first. To tasks of the platform itself nobody says anything."""
    if task.origin not in (*TASK_ORIGINS, Origin.CHILD):
        return []
    found: list[Message] = list(messages.listing(principal, task.pk).reverse()[:MOST_MESSAGES])[::-1]
    return [_text("others" if each.is_untrusted else "your team", each.text) for each in found]


def _earlier(principal: Principal, task: Workflow) -> list[Earlier]:
    """Tasks of the same customer that began before, newest first. The index of words finds them."""
    address = recipients.customer(task)
    if not address:
        return []
    rows = workflows.listing(principal).filter(tenant_id=task.tenant_id, pk__lt=task.pk, origin__in=TASK_ORIGINS)
    named = task_filters.saying(principal, rows, f'"{address}"').order_by("-id")[:_MOST_LOOKED_AT]
    found = [each for each in named if facts.about(recipients.customer(each)) == facts.about(address)][:MOST_EARLIER]
    answers = _answers(found)
    replies = Reply.objects.filter(workflow__in=found).order_by("id")[: MOST_EARLIER * MOST_MESSAGES]
    return [_one(each, answers, [reply for reply in replies if reply.workflow_id == each.pk]) for each in found]


def _one(task: Workflow, answers: dict[UUID, Text], replies: list[Reply]) -> Earlier:
    asked = _text("asked", str(task.input.get("body", "")))
    title = cells.headline(task.input) or task.kind
    return Earlier(task, title, asked, answers.get(task.pk), [_text(reply.sender, reply.text) for reply in replies])


def _answers(tasks: list[Workflow]) -> dict[UUID, Text]:
    # Calls of tools and budgets were approved too; they answer nobody.
    approved = Approval.objects.filter(workflow__in=tasks, state=ApprovalState.APPROVED, content__has_key="body")
    approved = approved.order_by("id")
    return {each.workflow_id: _text("answered", str(each.content.get("body", ""))) for each in approved}
