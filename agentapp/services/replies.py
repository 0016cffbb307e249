"""What customers answer to the messages that tasks have sent. [C10]"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.db.models import QuerySet

from agentapp.errors import IllegalMove, NotFound
from agentapp.lifecycle import database
from agentapp.models import Reply, Workflow
from agentapp.policies import storable
from agentapp.services import validation, workflows
from agentapp.services.principals import Principal

MOST_CHARACTERS = 50_000
# Of one line: an address, a subject, the id of a mail.
MOST_OF_A_LINE = 300
MOST_OF_A_TASK = 1_000


@dataclass(frozen=True)
class Recorded:
    """`is_new` is False for a reply that was known by its `message_id` already."""

    reply: Reply
    is_new: bool


def listing(principal: Principal, workflow_id: UUID) -> QuerySet[Reply]:
    """The replies to a task, oldest first."""
    task = workflows.get(principal, workflow_id)
    return Reply.objects.filter(workflow=task)


def record(
    principal: Principal, workflow_id: UUID, *, message_id: str, sender: str, text: str, subject: str = ""
) -> Recorded:
    """Keep what a customer answered, once for each `message_id`.

    Raises:
        InvalidInput: a field is empty, too long, or cannot be stored.
        IllegalMove: the task has as many replies as one may have.
        NotFound, PermissionDenied: as for any task.
    """
    principal.require("tasks:write")
    task = workflows.get(principal, workflow_id)
    principal.require("tasks:write", task.tenant_id)
    lines = {"message_id": message_id.strip(), "sender": sender.strip(), "subject": " ".join(subject.split())}
    _check(lines, text)
    with database.atomic():
        # All that come at once take turns: each counts those before it, and the task is not deleted meanwhile.
        if not Workflow.objects.select_for_update(no_key=True).filter(pk=task.pk).values_list("pk"):
            raise NotFound(f"The task {workflow_id} was deleted at this moment.")
        of_task = Reply.objects.filter(workflow=task)
        if known := of_task.filter(message_id=lines["message_id"]).first():
            return Recorded(known, is_new=False)
        if of_task.count() >= MOST_OF_A_TASK:
            raise IllegalMove(f"This task has {MOST_OF_A_TASK:,} replies, and takes no more.")
        made = Reply(
            workflow=task, tenant_id=task.tenant_id, text=text, actor=principal.actor, created_at=database.now(),
            **lines,
        )  # fmt: skip
        Reply.objects.bulk_create([made])
    return Recorded(made, is_new=True)


def _check(lines: dict[str, str], text: str) -> None:
    problems = [(name, f"This is a line of at most {MOST_OF_A_LINE} characters.") for name, line in lines.items()
                if len(line) > MOST_OF_A_LINE or not storable.is_storable(line)]  # fmt: skip
    problems += [(name, "This needs a value.") for name in ("message_id", "sender") if not lines[name]]
    if not text.strip():
        problems.append(("text", "This needs a value."))
    elif len(text) > MOST_CHARACTERS or not storable.is_storable(text):
        problems.append(("text", f"This is a text of at most {MOST_CHARACTERS:,} characters."))
    validation.raise_problems(problems)
