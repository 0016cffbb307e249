"""Translate a text into another language."""

from typing import Any

from agentapp.policies.retry import RetryPolicy
from agentapp.runtime import JobContext, job


@job(queue="model", scopes={"model:call"}, timeout_s=60, retry=RetryPolicy(max_attempts=3))
def translate_text(ctx: JobContext, *, text: str, language: str = "German") -> dict[str, Any]:
    reply = ctx.model.complete(f"Translate into {language}:\n\n{text}", max_tokens=1_000)
    return {"text_id": ctx.artifacts.write(reply.text, name="translation.txt")}
