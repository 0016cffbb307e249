"""Tasks with a history as long as a test wants it."""

from __future__ import annotations

from datetime import UTC, datetime

from agentapp.models import History, Workflow
from agentapp.services import workflows
from agentapp.services.principals import Principal


def make(principal: Principal, *, events: int, reason: str = "") -> Workflow:
    """Return a task that runs, with so many events."""
    task = workflows.submit(principal, kind="probe_fan", input={})
    task.refresh_from_db()
    moment = datetime(2030, 1, 1, tzinfo=UTC)
    rows = (
        History(
            workflow=task, seq=seq, at=moment, noun="workflow", from_state="running", to_state="running", actor="test",
            reason=reason,
        )
        for seq in range(task.seq + 1, events + 1)
    )  # fmt: skip
    History.objects.bulk_create(rows, batch_size=1_000)
    Workflow.objects.filter(pk=task.pk).update(seq=events)
    task.refresh_from_db()
    return task
