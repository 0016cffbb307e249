"""Say how far an answer can be relied on: one without sources not at all."""

from typing import Any

from agentapp.policies.retry import RetryPolicy
from agentapp.retrieval import passages
from agentapp.runtime import JobContext, job
from tasks.evaluate_answer import SCHEMA

UNFOUNDED = "The answer rests on no source."


@job(queue="model", scopes={"model:call", "documents:read"}, timeout_s=60, retry=RetryPolicy())
def rate_research(
    ctx: JobContext, *, question: str, background: str = "", is_known: bool, draft_id: str, passages_id: str
) -> dict[str, Any]:
    if not is_known:
        return {"score": 0.0, "grounded": False, "complete": False, "critique": UNFOUNDED}
    prompt = ctx.render(
        "prompts/evaluate_answer.txt",
        subject=question,
        body=background,
        passages=passages.load(ctx.artifacts.read(passages_id)),
        draft=ctx.artifacts.read(draft_id),
    )
    system = ctx.render("prompts/evaluate_answer.system.txt")
    rated: dict[str, Any] = (
        ctx.model.complete(prompt, system=system, schema=SCHEMA, schema_name="evaluation").data or {}
    )
    return rated
