"""Search one source for passages that may answer the question."""

import json
from collections.abc import Collection, Iterable
from typing import Any

from agentapp.policies.retry import RetryPolicy
from agentapp.retrieval import memories, passages, sources
from agentapp.retrieval.passages import Passage
from agentapp.runtime import JobContext, job

MOST_FACTS = 5
SCOPE = "memories:read"


@job(queue="retrieval", scopes={"documents:read", "memories:read", "model:embed"}, timeout_s=60, retry=RetryPolicy())
def retrieve_context(
    ctx: JobContext, *, source: str, subject: str, body: str, limit: int = 5, collection: str = "default"
) -> dict[str, Any]:
    question = f"{subject}\n\n{body}"
    asked = sources.by_name(source)
    found = asked.find(ctx.tenant_id, question, limit=limit, embed=ctx.model.embed, collection=collection)
    about = ctx.customer() if asked.always else ""
    known = _remembered(ctx, question, about=about) if about else []
    # Beside the passages of the source, so that neither takes the other's places.
    facts_id = kept(ctx, known, about=about) if known else None
    return {
        "source": source,
        "mode": found.mode,
        "passages_id": ctx.artifacts.write(passages.dump(found.passages), name=f"passages-{source}.json"),
        "passages": [
            {"id": passage.id, "title": passage.title, "heading": passage.heading, "score": passage.score}
            for passage in found.passages
        ],
    } | ({"memories_id": facts_id} if facts_id else {})


def _remembered(ctx: JobContext, question: str, *, about: str) -> list[Passage]:
    """Return what is remembered of the customer whom the task answers, and of nobody else; nothing where who asked for
    it may not read that. Not a source of its own, nor a parameter: a worker of the release before knows neither."""
    if not memories.of(ctx.tenant_id, about).exists() or SCOPE not in ctx.granted():
        return []
    return memories.search(ctx.tenant_id, question, about=about, limit=MOST_FACTS, embed=ctx.model.embed)


# Facts name their customer wherever they are kept: a fork may write to somebody else than the task whose stages it
# shares, and a person may edit the payload of a dead letter. Where the two differ, the facts are not used.


def kept(ctx: JobContext, found: Iterable[Passage], *, about: str) -> str:
    """Keep facts as an artifact, and return its id."""
    known = list(found)
    trusted = [passage.id for passage in known if not passage.is_untrusted]
    whole = {"about": about, "passages": passages.fields(known), "trusted": trusted}
    return ctx.artifacts.write(json.dumps(whole, ensure_ascii=False), name="memories.json")


def remembered(ctx: JobContext, artifact_ids: list[str]) -> list[list[Passage]]:
    """Return those of these facts that are about the customer of this task, where who asked for it may read them."""
    if not artifact_ids or SCOPE not in ctx.granted():
        return []
    about = ctx.customer()
    stored: list[Any] = [json.loads(ctx.artifacts.read(artifact_id)) for artifact_id in artifact_ids]
    mine = [one for one in stored if isinstance(one, dict) and about and one.get("about") == about]
    return [[_read(fields, one.get("trusted", ())) for fields in one["passages"]] for one in mine]


def _read(fields: dict[str, Any], trusted: Collection[str]) -> Passage:
    return Passage(**fields, is_untrusted=fields["id"] not in trusted)


def is_of_another(ctx: JobContext) -> bool:
    """Whether the last draft before this job was written from facts about somebody else."""
    drafts = [output for stage in ctx.earlier("generate_draft", most=1) for output in stage.outputs.values()]
    named = {str(output["facts_about"]) for output in drafts if output.get("facts_about")}
    return bool(named) and named != {ctx.customer()}
