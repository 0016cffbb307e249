"""A person tells the client of a task what became of a dead letter. No state changes."""

from __future__ import annotations

from agentapp.errors import IllegalMove
from agentapp.lifecycle import database
from agentapp.lifecycle.dead_letters import REFUSALS
from agentapp.models import Job, Workflow

# Of one task. Each is part of every answer about it.
MOST = 20
REFUSED = {
    "no dead letter": REFUSALS["no dead letter"],
    "over": "The task is over ({state}), which its client was told. There is nothing left to notify of.",
    "no client": "No client asked for this task, so there is nobody to notify.",
    "enough": f"The client of this task was notified {MOST} times already.",
}


def notify(task: Workflow, job: Job, *, text: str, actor: str) -> None:
    """Add a notice about a dead letter to the task that a client asked for. The same words once more change nothing.

    Raises:
        IllegalMove: it is no dead letter any more, its task is over or of no client, or has too many notices.
    """
    answer = database.call("notify", workflow=task.pk, job=job.pk, actor=actor, text=text, most=MOST)
    if answer["status"] != "ok":
        state = (answer.get("state") or "gone").replace("_", " ")
        raise IllegalMove(REFUSED[answer["status"]].format(state=state))
