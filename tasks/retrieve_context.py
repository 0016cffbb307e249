"""Search one source for passages that may answer the question."""

from typing import Any

from agentapp.policies.retry import RetryPolicy
from agentapp.retrieval import passages, sources
from agentapp.runtime import JobContext, job


@job(queue="retrieval", scopes={"documents:read", "model:embed"}, timeout_s=60, retry=RetryPolicy())
def retrieve_context(
    ctx: JobContext, *, source: str, subject: str, body: str, limit: int = 5, collection: str = "default"
) -> dict[str, Any]:
    question = f"{subject}\n\n{body}"
    asked = sources.by_name(source)
    found = asked.find(ctx.tenant_id, question, limit=limit, embed=ctx.model.embed, collection=collection)
    return {
        "source": source,
        "mode": found.mode,
        "passages_id": ctx.artifacts.write(passages.dump(found.passages), name=f"passages-{source}.json"),
        "passages": [
            {"id": passage.id, "title": passage.title, "heading": passage.heading, "score": passage.score}
            for passage in found.passages
        ],
    }
