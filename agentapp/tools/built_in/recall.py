"""What is remembered of the customer of a task, as an agent asks for it."""

from typing import Annotated

from pydantic import Field

from agentapp.retrieval import memories
from agentapp.retrieval.passages import Passage
from agentapp.tools import ToolContext, tool


@tool(
    queue="retrieval",
    scope="memories:read",
    worker_scopes={"memories:read", "model:embed"},
    untrusted=True,
    of_customer=True,
)
def recall(
    ctx: ToolContext, *, query: Annotated[str, Field(min_length=1)], limit: Annotated[int, Field(ge=1, le=20)] = 5
) -> str:
    """Look up facts that are remembered of the customer of this task and have to do with a question. Each has an id."""
    found = memories.search(ctx.tenant_id, query, about=ctx.customer, limit=limit, embed=ctx.embed)
    ctx.is_trusted = not any(fact.is_untrusted for fact in found)
    return "\n".join(_told(fact) for fact in found) or "Nothing is remembered of that."


def _told(fact: Passage) -> str:
    source = "read from a text of others" if fact.is_untrusted else "confirmed"
    return f"- {fact.text} (id {fact.id}, {source})"
