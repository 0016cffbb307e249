"""Judge a draft against the question and the passages: good enough for a person's eyes, or to be revised."""

from typing import Any

from agentapp.policies.retry import RetryPolicy
from agentapp.retrieval import passages
from agentapp.runtime import JobContext, job

# A draft that scores below is revised.
BAR = 0.7
UNFOUNDED = "The draft rests on no source."

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
    """`verdict`: "revise" where the model misses something that a passage has; "unfounded" where it does not, but the
    draft rests on no source, so that no revision helps and a person must look; else "pass"."""
    found, is_founded = _judged(ctx, subject=subject, body=body, draft_id=draft_id, passages_id=passages_id)
    verdict = "revise" if found["score"] < BAR else "pass" if is_founded else "unfounded"
    return {**(found if is_founded else unfounded(found)), "verdict": verdict}


def evaluation(ctx: JobContext, *, subject: str, body: str, draft_id: str, passages_id: str) -> dict[str, Any]:
    """Ask the model to judge a draft: {"score", "grounded", "complete", "critique"}. One without sources scores
    nothing, whatever the model finds."""
    found, is_founded = _judged(ctx, subject=subject, body=body, draft_id=draft_id, passages_id=passages_id)
    return found if is_founded else unfounded(found)


def unfounded(found: dict[str, Any]) -> dict[str, Any]:
    critique = f"{UNFOUNDED} {found['critique']}".strip()
    return {**found, "score": 0.0, "grounded": False, "critique": critique}


def _judged(
    ctx: JobContext, *, subject: str, body: str, draft_id: str, passages_id: str
) -> tuple[dict[str, Any], bool]:
    """What the model says of a draft, and whether the draft cites a passage."""
    numbered, draft = passages.load(ctx.artifacts.read(passages_id)), ctx.artifacts.read(draft_id)
    prompt = ctx.render("prompts/evaluate_answer.txt", subject=subject, body=body, passages=numbered, draft=draft)
    system = ctx.render("prompts/evaluate_answer.system.txt")
    found = ctx.model.complete(prompt, system=system, schema=SCHEMA, schema_name="evaluation").data or {}
    return found, bool(passages.cited(draft, numbered))
