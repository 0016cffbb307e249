"""Look whether a customer has replied to what a task has sent."""

import json
from typing import Any
from uuid import UUID

from agentapp.errors import PermanentError
from agentapp.policies.retry import RetryPolicy
from agentapp.runtime import JobContext, job


@job(queue="model", scopes={"tasks:read"}, timeout_s=30, retry=RetryPolicy())
def run_scheduled_check(ctx: JobContext, *, task: UUID, follow_up: bool) -> dict[str, Any]:
    """`goes_on`: a follow-up is to be written, about what the artifact `thread_id` holds."""
    ctx.require("tasks:read")
    found = ctx.correspondence(task)
    if not found.is_over:
        raise PermanentError(f"The task {task} is not over: check it later.")
    if found.sent is None:
        return {"outcome": "nothing sent", "replies": found.replies, "goes_on": False}
    if found.replies:
        return {"outcome": "replied", "replies": found.replies, "goes_on": False}
    if not follow_up:
        return {"outcome": "silent", "replies": 0, "goes_on": False}
    thread = json.dumps({"asked": found.asked, "answered": found.sent["body"]})
    return {
        "outcome": "silent",
        "replies": 0,
        "goes_on": True,
        # Asked once more before the follow-up is sent.
        "task": str(task),
        "to": found.sent["to"],
        "subject": found.sent["subject"],
        "thread_id": ctx.artifacts.write(thread, name="thread.json"),
    }
