"""Embed the passages of one document, or a batch of facts, by the configured model; they are searched once all are.

What it writes are vectors, which follow from texts that it may read.
"""

from typing import Any
from uuid import UUID

from pydantic import BaseModel

from agentapp.policies.retry import RetryPolicy
from agentapp.retrieval import reembedding
from agentapp.runtime import JobContext, job


class Part(BaseModel):
    """A document, or facts."""

    document: UUID | None = None
    facts: list[UUID] = []


@job(
    queue="retrieval", scopes={"documents:read", "memories:read", "model:embed"}, timeout_s=600, retry=RetryPolicy()
)  # fmt: skip
def reembed_texts(ctx: JobContext, *, part: Part, model: str, dimension: int) -> dict[str, Any]:
    space = reembedding.Space(model, dimension)

    def ask(texts: list[str]) -> reembedding.Embeddings:
        ctx.check()
        return ctx.model.embed(texts)

    try:
        if part.document:
            return {"embedded": reembedding.document(ctx.tenant_id, part.document, space, ask)}
        return {"embedded": reembedding.facts(ctx.tenant_id, part.facts, space, ask)}
    except reembedding.EmbeddingChanged as changed:
        return {"embedded": 0, "reason": str(changed)}
