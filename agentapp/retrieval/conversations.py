"""Which finished tasks of customers have not been read for facts, and what the customers said in them. [C8]"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

from agentapp.lifecycle import database, read_until
from agentapp.lifecycle.read_until import Marks
from agentapp.models import Message, Reply, Workflow
from agentapp.policies import facts
from agentapp.states import TASK_ORIGINS, WorkflowState

# Of one customer at once: what is left is read the next time.
MOST_TASKS = 8
MOST_CHARACTERS = 8_000
_AT_ONCE = 2_000
_CUSTOMER = "customer_email"
# What customers have written; an instruction is of the team that uses us.
_WRITTEN = ("subject", "body", "material")


@dataclass
class Unread:
    """Tasks of a customer, the oldest first; the last has finished at `until`."""

    customer: str
    until: datetime
    tasks: list[UUID] = field(default_factory=list)


@dataclass(frozen=True)
class Said:
    """What a customer wrote in a task and to it."""

    task: UUID
    began_at: datetime
    finished_at: datetime
    text: str


def unread(tenant_id: int, *, hours: float, quiet_minutes: float, customer: str = "") -> list[Unread]:
    """Return the customers of tasks that were completed within so many hours, but not in the last minutes, and are not
    read; who has waited longest comes first."""
    now = database.now()
    done = Workflow.objects.filter(
        tenant_id=tenant_id, state=WorkflowState.COMPLETED, origin__in=TASK_ORIGINS, input__has_key=_CUSTOMER,
        finished_at__gte=now - timedelta(hours=hours), finished_at__lte=now - timedelta(minutes=quiet_minutes),
    ).order_by("finished_at", "id")  # fmt: skip
    rows = done.values_list("pk", f"input__{_CUSTOMER}", "created_at", "finished_at").iterator(chunk_size=_AT_ONCE)
    found: dict[str, Unread] = {}
    marks: dict[str, Marks] = {}
    while some := list(islice(rows, _AT_ONCE)):
        named = [(pk, facts.about(str(email or "")), began_at, at) for pk, email, began_at, at in some]
        named = [row for row in named if row[1] and (not customer or row[1] == customer)]
        marks |= read_until.of(tenant_id, {about for _, about, _, _ in named} - marks.keys())
        for pk, about, began_at, at in named:
            if marks[about].allow(began_at=began_at, finished_at=at):
                _add(found.setdefault(about, Unread(about, at)), pk, at)
    return list(found.values())


def _add(one: Unread, task: UUID, finished_at: datetime) -> None:
    # Two that finished at one moment are read together: what is read is told by the moment.
    if len(one.tasks) < MOST_TASKS or finished_at == one.until:
        one.tasks.append(task)
        one.until = finished_at


def said(tenant_id: int, tasks: Collection[UUID], *, customer: str) -> list[Said]:
    """Return what this customer said in these tasks, oldest first; of those that are still to be read, and theirs."""
    marks = read_until.of(tenant_id, [customer])[customer]
    rows = Workflow.objects.filter(tenant_id=tenant_id, pk__in=tasks, finished_at__isnull=False)
    found = []
    for task in rows.order_by("finished_at", "id"):
        own = facts.about(str(task.input.get(_CUSTOMER) or "")) == customer
        ended = task.finished_at
        if own and ended is not None and marks.allow(began_at=task.created_at, finished_at=ended):
            text = "\n\n".join(_texts(task))[:MOST_CHARACTERS]
            found += [Said(task.pk, task.created_at, ended, text)] if text.strip() else []
    return found


def _texts(task: Workflow) -> Iterable[Any]:
    # The input of a fork, or of a task that goes on with a conversation, is that of an older task.
    customer = facts.about(str(task.input.get(_CUSTOMER) or ""))
    if task.continues is None and task.forked_from is None:
        yield from (task.input[name] for name in _WRITTEN if isinstance(task.input.get(name), str))
    messages = Message.objects.filter(workflow=task, is_untrusted=True).order_by("number")
    yield from messages.values_list("text", flat=True)[:MOST_TASKS]
    # Others may answer to a mail too: what they say is nothing that the customer has said.
    replies = Reply.objects.filter(workflow=task).order_by("id").values_list("sender", "text")
    yield from islice((text for sender, text in replies if facts.about(sender) == customer), MOST_TASKS)
