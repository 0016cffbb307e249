"""Turn one batch of passages into vectors."""

from typing import Any

from agentapp.policies.retry import RetryPolicy
from agentapp.retrieval import batches, ingest
from agentapp.runtime import JobContext, job


@job(queue="retrieval", scopes={"documents:read", "model:embed"}, timeout_s=120, retry=RetryPolicy())
def embed_chunks(ctx: JobContext, *, batch_id: str) -> dict[str, Any]:
    pieces = batches.load(ctx.artifacts.read(batch_id))
    embedded = ingest.embed_pieces(pieces, ctx.model.embed, tenant_id=ctx.tenant_id)
    stored = batches.dump_embedded(batches.Batch(pieces, embedded))
    return {
        "embedded_id": ctx.artifacts.write(stored, name="embedded.json"),
        "model": embedded.model if embedded else "",
    }
