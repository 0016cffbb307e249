"""What other tasks of a line of forks have sent already, for the person who decides about a fork. [D7]"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from agentapp.models import Approval, Effect, Workflow
from agentapp.states import ApprovalState, EffectState

Json = dict[str, Any]
# Of all lines that are looked at together; a line is rarely longer than two.
MOST_TASKS = 500
MOST_SENT = 20


@dataclass(frozen=True)
class Sent:
    """One effect of another task. `is_certain`: its receiver has confirmed it. Of a mail, to whom and about what."""

    task: UUID
    type: str
    at: datetime | None
    is_certain: bool
    to: str | None = None
    subject: str | None = None


def of(approvals: Iterable[Approval]) -> dict[UUID, list[Sent]]:
    """Return what was sent, by the task of each approval; read them with their tasks. One statement where nothing was
    forked, else one more for each generation, and two."""
    roots = {approval.workflow_id: approval.workflow.root or approval.workflow_id for approval in approvals}
    found: dict[UUID, list[Sent]] = {task: [] for task in roots}
    root_of = lines(set(roots.values()))
    if all(root_of.keys() <= {task} for task in roots):
        return found
    for sent in _sent(root_of):
        for task, root in roots.items():
            if task != sent.task and root == root_of[sent.task] and len(found[task]) < MOST_SENT:
                found[task].append(sent)
    return found


def by_line_of(task: Workflow) -> list[Sent]:
    """Return what this task and those of the same origin have sent: what a fork of it does not send again."""
    root = task.root or task.pk
    return _sent(lines({root}) | {task.pk: root})[:MOST_SENT]


def lines(roots: set[UUID]) -> dict[UUID, UUID]:
    """The tasks of these lines, each with the first one of its line."""
    root_of = {root: root for root in roots}
    generation = set(roots)
    while generation and len(root_of) < MOST_TASKS:
        forks = Workflow.objects.filter(forked_from__in=generation).order_by("pk").values_list("pk", "root")
        fresh = {pk: root for pk, root in forks[:MOST_TASKS] if root in roots and pk not in root_of}
        root_of |= fresh
        generation = set(fresh)
    return root_of


def _sent(tasks: dict[UUID, UUID]) -> list[Sent]:
    states = (EffectState.SENT, EffectState.CONFIRMED, EffectState.UNKNOWN)
    effects = list(Effect.objects.filter(workflow_id__in=tasks, state__in=states).order_by("prepared_at"))
    approved = Approval.objects.filter(
        workflow__in={each.workflow_id for each in effects}, state=ApprovalState.APPROVED
    )
    rows = approved.order_by("pk").values_list("workflow_id", "job_id", "content") if effects else ()
    contents: dict[tuple[UUID, UUID | None], Json] = {(task, job): content for task, job, content in rows}
    # What a job has asked for itself it has sent itself.
    return [
        _told(
            effect, contents.get((effect.workflow_id, effect.job_id)) or contents.get((effect.workflow_id, None)) or {}
        )
        for effect in effects
    ]


def _told(effect: Effect, content: dict[str, object]) -> Sent:
    to, subject = (content.get(name) if effect.type == "mail" else None for name in ("to", "subject"))
    return Sent(
        effect.workflow_id, effect.type, effect.confirmed_at or effect.sent_at,
        effect.state == EffectState.CONFIRMED, str(to) if to else None, str(subject) if subject else None,
    )  # fmt: skip
