"""Notices: what people told the client of a task about its dead letters."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from agentapp.models import Job, Workflow
from agentapp.services import dead_letters
from agentapp.states import TASK_ORIGINS

# What the form offers; who sends it answers for it.
SUGGESTED = (
    "A part of your request failed. We are looking into it. Nothing is lost: it continues when the cause is fixed."
)


@dataclass(frozen=True)
class Notice:
    at: datetime
    by: str
    job: str
    text: str


def of(task: Workflow) -> list[Notice]:
    """All notices of a task, the oldest first."""
    return [
        Notice(datetime.fromisoformat(each["at"]), each["by"], each["job"], each["text"]) for each in task.notices or ()
    ]


def of_letter(job: Job) -> dict[str, object]:
    """What the page of a dead letter shows of notices: those about it, and whether there is a client to notify."""
    task = dead_letters.client_task(job.workflow)
    return {
        "notices": [each for each in of(task) if each.job == str(job.pk)],
        "can_notify": task.origin in TASK_ORIGINS and task.finished_at is None,
        "suggested": SUGGESTED,
    }
