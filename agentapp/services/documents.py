"""The knowledge base: load a text, list what is there. [C9]"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from uuid import UUID

from django.db.models import QuerySet

from agentapp.errors import ModelRefused, NotFound, PermanentError, TransientError, Unavailable
from agentapp.lifecycle import documents as moves
from agentapp.lifecycle.documents import Content
from agentapp.models import Document
from agentapp.policies import classify
from agentapp.retrieval import chunking, ingest
from agentapp.retrieval.chunking import Piece
from agentapp.services import document_fields, embeddings, legal_holds, uploads
from agentapp.services.principals import Principal

# In one transaction, which is to be short.
REMOVED_AT_ONCE = 50


def load(
    principal: Principal, *, source: str, title: str, text: str, collection: str = "", tenant_id: int | None = None
) -> tuple[Document, bool]:
    """Put a text into a tenant's knowledge base; the same `source` again replaces what was there.

    Returns the document and whether anything was stored: the same text under the same title is no work, unless
    another embedding model is configured since, which embeds it again. A document whose `created_at` and `updated_at`
    are equal is new. Without a collection it stays in its own, or goes into the default one.

    Raises:
        PermissionDenied: the scope documents:write is missing.
        NotFound: the tenant is not the principal's.
        InvalidInput: with one error per field.
        Unavailable: the embedding model does not answer, or with what is no answer; nothing is stored.
        ModelRefused: the embedding model refuses, or cannot be asked as it is configured; nothing is stored.
    """
    principal.require("documents:write")
    owner_id = principal.chosen_tenant(tenant_id, needs="documents:write")
    title, source = document_fields.title(title), document_fields.source(source)
    pieces = _pieces(source=source, title=title, text=text, collection=collection)
    content = Content(title, _sha256(text), len(text), collection=collection)
    known = Document.objects.filter(tenant_id=owner_id, source=source).first()
    if known is not None and ingest.is_current(known, title=title, sha256=content.sha256, collection=collection):
        return known, False
    try:
        document = ingest.replace(
            tenant_id=owner_id, source=source, content=content, pieces=pieces, embed=embeddings.of_tenant(owner_id)
        )
    except PermanentError as error:
        raise ModelRefused(_not_stored(error)) from error
    except TransientError as error:
        # Without the cause: it would be read as one of our own stores, whose words are not for clients.
        raise Unavailable(_not_stored(error), retry_after_s=max(1, round(classify.retry_after_s(error) or 5))) from None
    if known is not None:
        moves.end(known.task_id, actor=principal.actor, reason="another text was loaded")
    return document, True


def preview(
    principal: Principal, *, source: str, title: str, text: str, collection: str = "", tenant_id: int | None = None
) -> str:
    """Say what `load` would make of a text: it is new, replaced, or unchanged. Raises as `load` does."""
    principal.require("documents:write")
    owner_id = principal.chosen_tenant(tenant_id, needs="documents:write")
    title, source = document_fields.title(title), document_fields.source(source)
    _pieces(source=source, title=title, text=text, collection=collection)
    known = Document.objects.filter(tenant_id=owner_id, source=source).first()
    if known is None:
        return "new"
    is_current = ingest.is_current(known, title=title, sha256=_sha256(text), collection=collection)
    return "unchanged" if is_current else "replaced"


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _not_stored(error: Exception) -> str:
    return f"The document was not stored, because it could not be embedded: {str(error).rstrip('.')}."


def listing(principal: Principal, *, collection: str = "") -> QuerySet[Document]:
    """Return the documents that the principal may see, newest first.

    Raises:
        PermissionDenied: the scope documents:read is missing.
    """
    principal.require("documents:read")
    rows = principal.visible(Document.objects.order_by("-id"))
    return rows.filter(collection=collection) if collection else rows


def get(principal: Principal, document_id: UUID) -> Document:
    """Raises NotFound; another tenant's document is as unknown as one that does not exist."""
    found = listing(principal).filter(pk=document_id).first()
    if found is None:
        raise _unknown(document_id)
    return found


def delete(principal: Principal, document_id: UUID) -> Document:
    """Take a document out of the knowledge base: no answer quotes it from now on.

    Raises:
        NotFound: there is no such document.
        IllegalMove: a legal hold keeps it.
    """
    principal.require("documents:write")
    known = principal.visible(Document.objects.filter(pk=document_id))
    tells = False
    for document in known:
        principal.require("documents:write", document.tenant_id)
        tells = legal_holds.tells(principal, document.tenant_id)
    removed = moves.remove(known, tells=tells)
    if not removed:
        raise _unknown(document_id)
    _forget(principal, removed)
    return removed[0]


def _forget(principal: Principal, removed: list[Document]) -> None:
    """Stop what still takes these documents in, and delete their files."""
    for document in removed:
        moves.end(document.task_id, actor=principal.actor, reason="the document was deleted")
        with suppress(TransientError, Unavailable):
            uploads.forget(document)


def gone(
    principal: Principal, kept: set[str], *, prefix: str, suffixes: tuple[str, ...], collection: str, tenant_id: int
) -> list[str]:
    """Return the sources of a tree of files that are stored in a collection and not among `kept`: those with one of the
    suffixes, below the prefix. Web addresses and absolute paths are of no tree."""
    principal.require("documents:write")
    rows = Document.objects.filter(
        tenant_id=principal.chosen_tenant(tenant_id, needs="documents:write"), collection=collection
    )
    stored = rows.filter(source__startswith=prefix).values_list("source", flat=True)
    return sorted(
        source
        for source in stored
        if source not in kept and source.lower().endswith(suffixes) and "://" not in source and source[0] != "/"
    )


def delete_sources(
    principal: Principal, sources: list[str], *, tenant_id: int, dry_run: bool = False
) -> tuple[list[str], dict[str, str]]:
    """Take the documents of these sources out of the knowledge base; return the sources that went, and of those that a
    legal hold keeps, why. `dry_run`: what would go. For operators."""
    principal.require("documents:write")
    rows = Document.objects.filter(tenant_id=principal.chosen_tenant(tenant_id, needs="documents:write"))
    kept: dict[str, str] = {}
    for start in range(0, len(sources), REMOVED_AT_ONCE):
        chosen = rows.filter(source__in=sources[start : start + REMOVED_AT_ONCE])
        removed, held = ([], moves.kept(chosen)) if dry_run else moves.remove_free(chosen)
        _forget(principal, removed)
        kept |= {document.source: f"{hold.placed_by} holds {hold.covers} ({hold.reason})" for document, hold in held}
    return sorted(set(sources) - set(kept)), dict(sorted(kept.items()))


def _unknown(document_id: UUID) -> NotFound:
    return NotFound(f"This tenant has no document {document_id}.")


def _pieces(*, source: str, title: str, text: str, collection: str) -> list[Piece]:
    problems = document_fields.problems(source=source, title=title, text=text, collection=collection)
    if problems:
        raise document_fields.invalid(problems)
    pieces = chunking.chunk(text, title=title)
    if not pieces:
        words = "There is nothing to quote in it: write text below the headings."
        raise document_fields.invalid([{"field": "text", "message": words}])
    return pieces
