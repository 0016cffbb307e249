"""Do nothing, for `manage.py drill`: one of many steps before an effect. [H6]"""

from typing import Any

from agentapp.runtime import JobContext, job


@job(queue="retrieval", timeout_s=30)
def drill_step(ctx: JobContext, *, number: int) -> dict[str, Any]:
    return {"number": number}
