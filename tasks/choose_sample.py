"""Choose finished tasks whose drafts are to be judged again."""

from typing import Any

from agentapp.policies.retry import RetryPolicy
from agentapp.runtime import JobContext, job


@job(queue="model", scopes={"tasks:read"}, timeout_s=60, retry=RetryPolicy())
def choose_sample(ctx: JobContext, *, kind: str, hours: float, size: int) -> dict[str, Any]:
    ctx.require("tasks:read")
    found = ctx.judged(kind=kind, by="evaluate_answer", hours=hours, most=size)
    cases = [
        {"task": str(case.task), "job": str(case.job), "score": case.score, "decision": case.decision}
        for case in found.cases
    ]
    return {"found": found.found, "chosen": found.chosen, "cases": cases}
