"""Say what to search for to answer a question, and where."""

from typing import Any

from agentapp.policies.retry import RetryPolicy
from agentapp.retrieval import research, sources
from agentapp.runtime import JobContext, job

SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["queries"],
    "properties": {
        "queries": {
            "type": "array",
            "items": {"type": "string"},
            "description": "what to search for, in a few words each, the most telling first",
        }
    },
}


@job(queue="model", scopes={"model:call"}, timeout_s=60, retry=RetryPolicy())
def plan_research(
    ctx: JobContext,
    *,
    question: str,
    background: str = "",
    collections: list[str] | None = None,
    sources_asked: list[str] | None = None,
    max_queries: int = 4,
) -> dict[str, Any]:
    """Without `sources_asked` all are searched, and without `collections` all of each."""
    ctx.require("documents:read")
    asked = [sources.by_name(name) for name in sources_asked] if sources_asked else sources.registered()
    prompt = ctx.render("prompts/plan_research.txt", question=question, background=background)
    system = ctx.render("prompts/plan_research.system.txt", most=str(max_queries))
    reply = ctx.model.complete(prompt, system=system, schema=SCHEMA, schema_name="queries")
    queries = research.queries(question, (reply.data or {})["queries"], most=max_queries)
    planned = research.searches(queries, asked, list(dict.fromkeys(collections or ())))
    return {"queries": queries, "searches": [search.model_dump() for search in planned]}
