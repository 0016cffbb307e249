"""Documents as JSON."""

from __future__ import annotations

from agentapp.api import shapes
from agentapp.api.answers import documents as answers
from agentapp.models import Document
from agentapp.services import document_progress
from agentapp.services.document_progress import Progress


def documents(rows: list[Document]) -> list[answers.Document]:
    known = document_progress.of(rows)
    return [_document(row, known[row.pk]) for row in rows]


def document(row: Document) -> answers.Document:
    return documents([row])[0]


def _document(row: Document, progress: Progress) -> answers.Document:
    return {
        "id": str(row.pk),
        "source": row.source,
        "title": row.title,
        "collection": row.collection,
        "media_type": row.media_type,
        "state": progress.state,
        "error": progress.error or None,
        "task": str(row.task_id) if row.task_id else None,
        "sha256": row.sha256,
        "size": row.size,
        "created_at": shapes.time(row.created_at),
        "updated_at": shapes.time(row.updated_at),
    }
