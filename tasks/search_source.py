"""Search one source for passages about one query of a report, within the time limit of the source."""

from typing import Any

from agentapp.policies.retry import RetryPolicy
from agentapp.retrieval import in_time, passages, sources
from agentapp.retrieval.research import PlannedSearch
from agentapp.runtime import JobContext, job

MOST_PASSAGES = 5
TIMEOUT_S = 60
# What the job itself needs to end well after its source was too slow.
MARGIN_S = 10


@job(queue="retrieval", scopes={"documents:read", "model:embed"}, timeout_s=TIMEOUT_S,
     retry=RetryPolicy(max_attempts=2, backoff_s=(2.0,)))  # fmt: skip
def search_source(ctx: JobContext, *, search: PlannedSearch) -> dict[str, Any]:
    ctx.require("documents:read")
    asked = sources.by_name(search.source)
    found = in_time.find(
        asked,
        lambda: asked.find(
            ctx.tenant_id, search.query, limit=MOST_PASSAGES, embed=ctx.model.embed, collection=search.collection
        ),
        most_s=max(1.0, ctx.deadline_s() - MARGIN_S),
    )
    return {
        "source": search.source,
        "mode": found.mode,
        "found": len(found.passages),
        "passages_id": ctx.artifacts.write(passages.dump(found.passages), name=f"passages-{search.source}.json"),
    }
