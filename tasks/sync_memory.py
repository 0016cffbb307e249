"""Keep the facts that were read from the tasks of a customer: once, merged with what is known. [C8]"""

from datetime import datetime
from typing import Any
from uuid import UUID

import pydantic

from agentapp.errors import InvalidInput
from agentapp.policies.retry import RetryPolicy
from agentapp.retrieval import remembering
from agentapp.retrieval.remembering import FoundFact
from agentapp.runtime import JobContext, job


class ExtractedFact(pydantic.BaseModel):
    """A sentence, the task that says so and its time, and the version that it contradicts."""

    text: str
    task: UUID
    began_at: datetime
    finished_at: datetime
    replaces: UUID | None = None


class ExtractedFacts(pydantic.BaseModel):
    """What extract_facts has found of a customer."""

    customer: str
    until: datetime
    facts: list[ExtractedFact]


@job(queue="retrieval", scopes={"memories:write", "model:embed"}, timeout_s=60, retry=RetryPolicy())
def sync_memory(ctx: JobContext, *, extracted: ExtractedFacts) -> dict[str, Any]:
    ctx.require("memories:write")
    found, unusable = [], 0
    for fact in extracted.facts:
        try:
            text = remembering.text_of(fact.text)
        except InvalidInput:
            # One sentence that cannot be kept holds up no other.
            unusable += 1
            continue
        found.append(FoundFact(text, fact.task, fact.began_at, fact.finished_at, fact.replaces))
    synced = remembering.keep(
        found, tenant_id=ctx.tenant_id, about=extracted.customer, until=extracted.until, embed=ctx.model.embed
    )
    return {"new": synced.new, "known": synced.known, "dropped": synced.dropped + unusable}
