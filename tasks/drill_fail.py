"""Fail at every attempt, for `manage.py drill`: it must become a dead letter at its cap. [H6] [F2]"""

from typing import Any

from agentapp.errors import TransientError
from agentapp.policies.retry import RetryPolicy
from agentapp.runtime import JobContext, job


@job(queue="model", timeout_s=30, retry=RetryPolicy(max_attempts=3, backoff_s=(0.5, 1.0)))
def drill_fail(ctx: JobContext) -> dict[str, Any]:
    raise TransientError(f"The drill wants attempt {ctx.attempt} to fail.")
