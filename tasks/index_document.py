"""Let answers quote the new text of a document, all of it at once; or say why there is none."""

from typing import Any
from uuid import UUID

from agentapp.policies.file_types import MEDIA_TYPES, FileType
from agentapp.policies.retry import RetryPolicy
from agentapp.retrieval import batches, ingest
from agentapp.runtime import JobContext, job


@job(queue="documents", scopes={"documents:read", "documents:write"}, timeout_s=120, retry=RetryPolicy())
def index_document(
    ctx: JobContext, *, document_id: str, file_type: str, collection: str, title: str, characters: int,
    embedded: list[dict[str, Any]], unreadable: str,
) -> dict[str, Any]:  # fmt: skip
    task = ctx.workflow_id
    if unreadable:
        is_current = ingest.refuse(UUID(document_id), task=task, reason=unreadable)
        return {"outcome": "failed" if is_current else "superseded", "reason": unreadable, "chunks": 0}
    found = [batches.load_embedded(ctx.artifacts.read(batch["embedded_id"])) for batch in embedded]
    text = ingest.Text(title, characters, MEDIA_TYPES[FileType(file_type)], collection, found)
    if not ingest.publish(UUID(document_id), task=task, text=text):
        reason = "The document was deleted, or uploaded again, before this upload was indexed."
        return {"outcome": "superseded", "reason": reason, "chunks": 0}
    return {"outcome": "ready", "reason": "", "chunks": sum(len(batch.pieces) for batch in found)}
