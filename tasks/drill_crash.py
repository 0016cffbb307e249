"""Kill the own process at the first attempt, for `manage.py drill`: another must go on. [H6] [D3]"""

import os
import signal
from typing import Any

from agentapp.errors import PermanentError
from agentapp.policies.retry import RetryPolicy
from agentapp.runtime import JobContext, job, process


@job(queue="documents", timeout_s=30, retry=RetryPolicy(max_attempts=3))
def drill_crash(ctx: JobContext) -> dict[str, Any]:
    if not process.this.prefork:
        # A pool of threads is one process: what it does for others would die too.
        raise PermanentError("The queue documents is served by no prefork pool: neighbours would be killed too.")
    if ctx.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"attempt": ctx.attempt}
