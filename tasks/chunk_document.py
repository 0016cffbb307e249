"""Cut the text of a document into passages, and those into batches to be embedded."""

from typing import Any

from agentapp.policies.retry import RetryPolicy
from agentapp.retrieval import batches, chunking
from agentapp.runtime import JobContext, job

NOTHING = "There is nothing to quote in it: no text stands below its headings."


@job(queue="documents", scopes={"documents:read"}, timeout_s=120, retry=RetryPolicy())
def chunk_document(ctx: JobContext, *, text_id: str, title: str, unreadable: str) -> dict[str, Any]:
    if unreadable:
        return {"batches": [], "chunks": 0, "unreadable": unreadable}
    pieces = chunking.chunk(ctx.artifacts.read(text_id), title=title)
    if len(pieces) > batches.MOST_PIECES:
        reason = f"It has {len(pieces):,} passages; at most {batches.MOST_PIECES:,} are kept. Split it."
        return {"batches": [], "chunks": 0, "unreadable": reason}
    stored = []
    for batch in batches.of(pieces):
        ctx.check()
        stored.append(ctx.artifacts.write(batches.dump(batch), name="pieces.json"))
    return {"batches": stored, "chunks": len(pieces), "unreadable": "" if stored else NOTHING}
