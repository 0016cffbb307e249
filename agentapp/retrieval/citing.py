"""Which row of the knowledge base a citation quotes, so that it can be seen later whether it still says so."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from agentapp import ids
from agentapp.models import Chunk
from agentapp.retrieval import memories
from agentapp.retrieval.passages import Passage

DOCUMENTS = "documents"


def identified(
    tenant_id: int, citations: Sequence[dict[str, Any]], numbered: Sequence[Passage]
) -> list[dict[str, Any]]:
    """Return citations of numbered passages with the `id` of what each quotes, where that is a document or a fact; of a
    document also `document` and `sha256`, the digest of the passage: each new text of a document has new passages.

    Of a passage that is gone already the document is not known.
    """
    quoted = {citation["n"]: numbered[citation["n"] - 1] for citation in citations}
    chunks = [found for passage in quoted.values() if passage.source == DOCUMENTS and (found := ids.parsed(passage.id))]
    rows = Chunk.objects.filter(tenant_id=tenant_id, pk__in=chunks).values_list("pk", "document_id")
    documents = {str(chunk): str(document) for chunk, document in rows}
    return [citation | _ids(quoted[citation["n"]], documents) for citation in citations]


def _ids(passage: Passage, documents: dict[str, str]) -> dict[str, str]:
    if passage.source == memories.SOURCE:
        return {"id": passage.id}
    if passage.source != DOCUMENTS:
        return {}
    found = {"id": passage.id, "sha256": hashlib.sha256(passage.text.encode()).hexdigest()}
    return found | ({"document": documents[passage.id]} if passage.id in documents else {})
