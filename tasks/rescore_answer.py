"""Judge the draft of a finished task again, with the prompt and the model of today."""

from typing import Any
from uuid import UUID

import pydantic

from agentapp.policies.retry import RetryPolicy
from agentapp.runtime import JobContext, job
from tasks.evaluate_answer import evaluation


class JudgedTask(pydantic.BaseModel):
    """A finished task, the job that judged its draft, with which score, and what a person decided about it."""

    task: UUID
    job: UUID
    score: float = pydantic.Field(ge=0, le=1)
    decision: str


@job(queue="model", scopes={"model:call", "documents:read", "tasks:read"}, timeout_s=60, retry=RetryPolicy())
def rescore_answer(ctx: JobContext, *, case: JudgedTask) -> dict[str, Any]:
    ctx.require("tasks:read")
    found = evaluation(ctx, **ctx.judged_payload(case.job, by="evaluate_answer"))
    return {"task": str(case.task), "before": case.score, "now": found["score"], "decision": case.decision}
