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
    document also `document` and `sha256`, the digest of the row's text: each new text of a document has new passages.
    The row says it, because a passage is without secrets, and was cut where it is long.

    Of a passage that is gone already the document is not known.
    """
    quoted = {citation["n"]: numbered[citation["n"] - 1] for citation in citations}
    chunks = [found for passage in quoted.values() if passage.source == DOCUMENTS and (found := ids.parsed(passage.id))]
    rows = Chunk.objects.filter(tenant_id=tenant_id, pk__in=chunks).values_list("pk", "document_id", "text")
    known = {str(chunk): {"document": str(document), "sha256": _sha256(text)} for chunk, document, text in rows}
    return [citation | _ids(quoted[citation["n"]], known) for citation in citations]


def _ids(passage: Passage, known: dict[str, dict[str, str]]) -> dict[str, str]:
    if passage.source == memories.SOURCE:
        return {"id": passage.id}
    if passage.source != DOCUMENTS:
        return {}
    return {"id": passage.id} | known.get(passage.id, {"sha256": _sha256(passage.text)})


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
