"""Run a task of another kind as a stage of this one, and wait for its end. [B3]"""

from typing import Any

from agentapp.policies.retry import RetryPolicy
from agentapp.runtime import JobContext, job


@job(queue="retrieval", timeout_s=30, retry=RetryPolicy(), on_cancel=lambda ctx: ctx.end_task())
def run_task(ctx: JobContext, *, task_kind: str, **input: Any) -> dict[str, Any]:
    """{"task": its id, "result": what it came to}."""
    return ctx.run_task(task_kind, input)
