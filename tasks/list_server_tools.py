"""Ask a tool server which tools it has. [C11]"""

import time
from typing import Any

from agentapp.errors import PermanentError, TransientError
from agentapp.policies.retry import RetryPolicy
from agentapp.runtime import JobContext, job
from agentapp.tools.servers import listing

MOST_S = 60.0


@job(queue="tools", scopes={"tools:call"}, timeout_s=90, retry=RetryPolicy(max_attempts=2, backoff_s=(5.0,)))
def list_server_tools(ctx: JobContext, *, server_id: int) -> dict[str, Any]:
    ends_s = time.monotonic() + MOST_S
    try:
        return listing.read(
            ctx.tenant_id, server_id, task=ctx.workflow_id, release=ctx.release,
            left_s=lambda: max(0.1, min(ends_s - time.monotonic(), ctx.deadline_s())),
        )  # fmt: skip
    except PermanentError as error:
        return listing.failed(server_id, error, task=ctx.workflow_id)
    except TransientError as error:
        if not ctx.is_last_attempt:
            raise
        return listing.failed(server_id, error, task=ctx.workflow_id)
