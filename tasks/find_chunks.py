"""Number the chunks of documents as they stand now, and keep them: a report cites what it has read."""

import json
from typing import Any
from uuid import UUID

from agentapp.policies.retry import RetryPolicy
from agentapp.retrieval import excerpts
from agentapp.runtime import JobContext, job


@job(queue="documents", scopes={"documents:read"}, timeout_s=300, retry=RetryPolicy())
def find_chunks(ctx: JobContext, *, documents: list[UUID] | None = None, collection: str = "") -> dict[str, Any]:
    ctx.require("documents:read")
    found = excerpts.read(ctx.tenant_id, documents=documents or (), collection=collection, task_id=ctx.workflow_id)
    chunks: list[dict[str, Any]] = []
    batches: list[str] = []
    for batch in excerpts.batches(found):
        ctx.check()
        batches.append(ctx.artifacts.write(excerpts.dump(batch), name="chunks.json"))
        chunks += [{"n": excerpt.n, "batch_id": batches[-1]} for excerpt in batch]
    return {
        "found": len(found),
        "chunks": chunks,
        # A collection may have as many documents as chunks.
        "documents_id": ctx.artifacts.write(json.dumps(excerpts.by_document(found)), name="documents.json"),
    }
