"""Read what a customer said, and write down the facts about them."""

from datetime import datetime
from typing import Any
from uuid import UUID

import pydantic

from agentapp.policies.retry import RetryPolicy
from agentapp.retrieval import conversations, memories
from agentapp.runtime import JobContext, job

MOST_FACTS = 20
# The newest ones; what the model is not shown it cannot replace.
MOST_KNOWN = 60
MOST_TOKENS = 4_000
SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["facts"],
    "properties": {
        "facts": {
            "type": "array",
            "maxItems": MOST_FACTS,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["text", "conversation", "replaces"],
                "properties": {
                    "text": {"type": "string", "description": "one sentence, at most 300 characters"},
                    "conversation": {"type": "integer", "description": "the id of the item that says so"},
                    "replaces": {
                        "type": ["integer", "null"],
                        "description": "the id of the known fact that is no longer true because of it",
                    },
                },
            },
        }
    },
}


class CustomerTasks(pydantic.BaseModel):
    """A customer, and tasks of theirs that have finished until then."""

    customer: str
    tasks: list[UUID]
    until: datetime


@job(queue="model", scopes={"model:call", "tasks:read", "memories:read"}, timeout_s=120, retry=RetryPolicy())
def extract_facts(ctx: JobContext, *, customer: CustomerTasks) -> dict[str, Any]:
    ctx.require("tasks:read")
    ctx.require("memories:write")
    said = conversations.said(ctx.tenant_id, customer.tasks, customer=customer.customer)
    output = {"customer": customer.customer, "until": customer.until.isoformat()}
    if not said:
        return {**output, "facts": []}
    known = list(memories.of(ctx.tenant_id, customer.customer).order_by("-id")[:MOST_KNOWN])
    prompt = ctx.render("prompts/extract_facts.txt", known=known, said=said)
    system = ctx.render("prompts/extract_facts.system.txt")
    reply = ctx.model.complete(
        prompt, system=system, schema=SCHEMA, schema_name="customer_facts", max_tokens=MOST_TOKENS
    )
    found = []
    for fact in (reply.data or {})["facts"][:MOST_FACTS]:
        number, replaces = fact["conversation"], fact["replaces"]
        # What was said nowhere is no fact.
        if 1 <= number <= len(said):
            old = known[replaces - 1] if replaces is not None and 1 <= replaces <= len(known) else None
            source = said[number - 1]
            found.append(
                {
                    "text": fact["text"],
                    "task": str(source.task),
                    "began_at": source.began_at.isoformat(),
                    "finished_at": source.finished_at.isoformat(),
                    "replaces": str(old.pk) if old else None,
                }
            )
    return {**output, "facts": found}
