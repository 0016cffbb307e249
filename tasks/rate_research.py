"""Say how far an answer can be relied on: one without sources not at all."""

from typing import Any

from agentapp.policies.retry import RetryPolicy
from agentapp.runtime import JobContext, job
from tasks.evaluate_answer import evaluation

UNFOUNDED = "The answer rests on no source."


@job(queue="model", scopes={"model:call", "documents:read"}, timeout_s=60, retry=RetryPolicy())
def rate_research(
    ctx: JobContext, *, question: str, background: str = "", is_known: bool, draft_id: str, passages_id: str
) -> dict[str, Any]:
    if not is_known:
        return {"score": 0.0, "grounded": False, "complete": False, "critique": UNFOUNDED}
    return evaluation(ctx, subject=question, body=background, draft_id=draft_id, passages_id=passages_id)
