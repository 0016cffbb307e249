"""Run one call of a tool that an agent asks for. [C5] [C6]"""

from typing import Any

from agentapp.policies.retry import RetryPolicy
from agentapp.runtime import JobContext, job, tool_runs
from agentapp.tools.planning import PlannedCall
from agentapp.tools.registry import MOST_S


# Queue and tool of each job are those of its call.
@job(queue="model", timeout_s=MOST_S + 30, retry=RetryPolicy(max_attempts=3, backoff_s=(2.0, 10.0)))
def run_tool(ctx: JobContext, *, call: PlannedCall, approval: dict[str, Any] | None = None) -> dict[str, Any]:
    return tool_runs.run(ctx, call, approval)
