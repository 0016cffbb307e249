"""Let the vectors of the configured model take the place of those before, once no text is without one."""

from typing import Any

from agentapp.policies.retry import RetryPolicy
from agentapp.retrieval import reembedding
from agentapp.runtime import JobContext, job


@job(queue="retrieval", scopes={"documents:read", "memories:read"}, timeout_s=600, retry=RetryPolicy())
def switch_vectors(ctx: JobContext, *, model: str, dimension: int) -> dict[str, Any]:
    switched, left = reembedding.settle(ctx.tenant_id, reembedding.Space(model, dimension))
    return {"switched": switched, "left": left, "is_complete": not left}
