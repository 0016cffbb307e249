"""The four numbers that tell whether somebody has to do something."""

from __future__ import annotations

from typing import Any

from agentapp.admin import cells
from agentapp.models import Approval, Job, Workflow
from agentapp.services.principals import Principal


def counts(principal: Principal) -> dict[str, Any]:
    """Open tasks, waiting approvals, dead letters, and the age of the job that has waited longest for a worker."""
    oldest = principal.visible(Job.objects.filter(state="available")).order_by("available_at").first()
    return {
        "open_tasks": principal.visible(Workflow.objects.filter(finished_at=None)).count(),
        "approvals": principal.visible(Approval.objects.filter(state="pending")).count(),
        "dead_letters": principal.visible(Job.objects.filter(state="dead_lettered")).count(),
        "oldest_job": cells.age(oldest.available_at) if oldest else "none",
        "oldest_job_queue": oldest.queue if oldest else "",
    }
