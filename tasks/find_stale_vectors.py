"""Find the texts of a tenant that have no vector of the configured embedding model."""

from typing import Any

from agentapp.policies.retry import RetryPolicy
from agentapp.retrieval import reembedding
from agentapp.runtime import JobContext, job


@job(
    queue="retrieval", scopes={"documents:read", "memories:read", "model:embed"}, timeout_s=300, retry=RetryPolicy()
)  # fmt: skip
def find_stale_vectors(ctx: JobContext) -> dict[str, Any]:
    found = reembedding.find(ctx.tenant_id, ctx.model.embed)
    return {"model": found.space.model, "dimension": found.space.dimension, "parts": found.parts}
