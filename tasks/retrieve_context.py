"""Search one source for passages that may answer the question."""

from typing import Any

from agentapp.policies.retry import RetryPolicy
from agentapp.retrieval import memories, passages, sources
from agentapp.retrieval.passages import Passage
from agentapp.runtime import JobContext, job

MOST_FACTS = 5


@job(queue="retrieval", scopes={"documents:read", "memories:read", "model:embed"}, timeout_s=60, retry=RetryPolicy())
def retrieve_context(
    ctx: JobContext, *, source: str, subject: str, body: str, limit: int = 5, collection: str = "default"
) -> dict[str, Any]:
    question = f"{subject}\n\n{body}"
    asked = sources.by_name(source)
    found = asked.find(ctx.tenant_id, question, limit=limit, embed=ctx.model.embed, collection=collection)
    known = _remembered(ctx, question) if asked.always else []
    # Beside the passages of the source, so that neither takes the other's places.
    facts_id = ctx.artifacts.write(passages.dump(known), name="memories.json") if known else None
    return {
        "source": source,
        "mode": found.mode,
        "passages_id": ctx.artifacts.write(passages.dump(found.passages), name=f"passages-{source}.json"),
        "passages": [
            {"id": passage.id, "title": passage.title, "heading": passage.heading, "score": passage.score}
            for passage in found.passages
        ],
    } | ({"memories_id": facts_id} if facts_id else {})


def _remembered(ctx: JobContext, question: str) -> list[Passage]:
    """Return what is remembered of the customer whom the task answers, and of nobody else; nothing where who asked for
    it may not read that. Not a source of its own, nor a parameter: a worker of the release before knows neither."""
    about = str(ctx.sent().get("customer_email") or "")
    if not about or not memories.of(ctx.tenant_id, about).exists() or "memories:read" not in ctx.granted():
        return []
    return memories.search(ctx.tenant_id, question, about=about, limit=MOST_FACTS, embed=ctx.model.embed)
