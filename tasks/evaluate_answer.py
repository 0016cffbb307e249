"""Judge a draft against the question and the passages: good enough for a person's eyes, or to be revised."""

from typing import Any

from agentapp.policies.retry import RetryPolicy
from agentapp.retrieval import passages
from agentapp.runtime import JobContext, job

# A draft that scores below is revised.
BAR = 0.7

SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["score", "grounded", "complete", "critique"],
    "properties": {
        "score": {
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "description": "1: every part of the question is answered and every claim stands in a passage; 0: useless",
        },
        "grounded": {"type": "boolean", "description": "every claim of the draft stands in a passage"},
        "complete": {"type": "boolean", "description": "every part of the question is answered, or said to be unknown"},
        "critique": {"type": "string", "description": "what is missing or unfounded, in words that help to revise it"},
    },
}


@job(queue="model", scopes={"model:call", "documents:read"}, timeout_s=60, retry=RetryPolicy())
def evaluate_answer(ctx: JobContext, *, subject: str, body: str, draft_id: str, passages_id: str) -> dict[str, Any]:
    found = evaluation(ctx, subject=subject, body=body, draft_id=draft_id, passages_id=passages_id)
    return {**found, "verdict": "revise" if found["score"] < BAR else "pass"}


def evaluation(ctx: JobContext, *, subject: str, body: str, draft_id: str, passages_id: str) -> dict[str, Any]:
    """Ask the model to judge a draft: {"score", "grounded", "complete", "critique"}."""
    prompt = ctx.render(
        "prompts/evaluate_answer.txt",
        subject=subject,
        body=body,
        passages=passages.load(ctx.artifacts.read(passages_id)),
        draft=ctx.artifacts.read(draft_id),
    )
    system = ctx.render("prompts/evaluate_answer.system.txt")
    return ctx.model.complete(prompt, system=system, schema=SCHEMA, schema_name="evaluation").data or {}
