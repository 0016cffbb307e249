"""The knowledge base, as an agent searches it."""

from typing import Annotated

from pydantic import Field

from agentapp.retrieval import search
from agentapp.retrieval.passages import Passage
from agentapp.tools import ToolContext, tool


@tool(queue="retrieval", scope="documents:read", worker_scopes={"documents:read", "model:embed"}, untrusted=True)
def search_documents(
    ctx: ToolContext, *, query: Annotated[str, Field(min_length=1)], limit: Annotated[int, Field(ge=1, le=10)] = 5
) -> str:
    """Search the knowledge base for passages that answer a question. Each has an id, by which its document is read."""
    found = search.search(ctx.tenant_id, query, limit=limit, embed=ctx.embed)
    if not found.passages:
        return "Nothing was found."
    return "\n\n".join(_told(number, passage) for number, passage in enumerate(found.passages, start=1))


def _told(number: int, passage: Passage) -> str:
    where = ", ".join(filter(None, (passage.title, passage.heading)))
    return f"[{number}] {where} (id {passage.id})\n{passage.text}"
