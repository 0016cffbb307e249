"""A whole document of the knowledge base, as an agent reads it."""

from typing import Annotated
from uuid import UUID

from django.db.models import Q
from pydantic import Field

from agentapp.errors import ToolFailed
from agentapp.models import Chunk, Document
from agentapp.tools import ToolContext, tool

# Characters of one call: a model goes on from where they end.
MOST_CHARACTERS = 12_000


@tool(queue="retrieval", scope="documents:read", worker_scopes={"documents:read"}, untrusted=True)
def read_document(ctx: ToolContext, *, id: UUID, start: Annotated[int, Field(ge=0)] = 0) -> str:
    """Read a document of the knowledge base by the id of one of its passages. A long one is read in pieces: `start` is
    the character to begin at."""
    mine = Document.objects.filter(tenant_id=ctx.tenant_id)
    document = mine.filter(Q(pk=id) | Q(chunks__pk=id)).first()
    if document is None:
        raise ToolFailed(f"There is no document {id}.")
    chunks = Chunk.objects.filter(document=document).order_by("position").values_list("text", flat=True)
    text = "\n\n".join(chunks)
    piece = text[start : start + MOST_CHARACTERS]
    more = f"\n\n(It goes on at character {start + len(piece)}.)" if start + len(piece) < len(text) else ""
    return f"{document.title}\n\n{piece}{more}"
