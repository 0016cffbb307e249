"""The knowledge base: load a text, list what is there. [C9]"""

from __future__ import annotations

import hashlib
from uuid import UUID

from django.db.models import QuerySet

from agentapp import conf, llm
from agentapp.errors import InvalidInput, ModelRefused, NotFound, PermanentError, TransientError, Unavailable
from agentapp.llm.answers import Embeddings
from agentapp.models import Document
from agentapp.policies import sentences, storable
from agentapp.retrieval import chunking, ingest
from agentapp.retrieval.chunking import Piece
from agentapp.services.principals import Principal

LONGEST_TEXT = 1_000_000
LONGEST_TITLE = 300
LONGEST_SOURCE = 500
# In one transaction, which is to be short.
REMOVED_AT_ONCE = 50


def load(
    principal: Principal, *, source: str, title: str, text: str, tenant_id: int | None = None
) -> tuple[Document, bool]:
    """Put a text into a tenant's knowledge base; the same `source` again replaces what was there.

    Returns the document and whether anything was stored: the same text under the same title is no work, unless
    another embedding model is configured since, which embeds it again. A document whose `created_at` and `updated_at`
    are equal is new.

    Raises:
        PermissionDenied: the scope documents:write is missing.
        NotFound: the tenant is not the principal's.
        InvalidInput: with one error per field.
        Unavailable: the embedding model does not answer, or with what is no answer; nothing is stored.
        ModelRefused: the embedding model refuses, or cannot be asked as it is configured; nothing is stored.
    """
    principal.require("documents:write")
    owner_id = principal.chosen_tenant(tenant_id)
    title, source = _stored(title, source)
    pieces = _pieces(source=source, title=title, text=text)
    sha256 = _sha256(text)
    known = Document.objects.filter(tenant_id=owner_id, source=source).first()
    if known is not None and ingest.is_current(known, title=title, sha256=sha256):
        return known, False
    try:
        document = ingest.replace(
            tenant_id=owner_id, source=source, title=title, pieces=pieces, sha256=sha256, size=len(text), embed=_embed
        )
    except PermanentError as error:
        raise ModelRefused(_not_stored(error)) from error
    except TransientError as error:
        # Without the cause: it would be read as one of our own stores, whose words are not for clients.
        raise Unavailable(_not_stored(error), retry_after_s=max(1, round(error.retry_after_s or 5))) from None
    return document, True


def preview(principal: Principal, *, source: str, title: str, text: str, tenant_id: int | None = None) -> str:
    """Say what `load` would make of a text: it is new, replaced, or unchanged. Raises as `load` does."""
    principal.require("documents:write")
    owner_id = principal.chosen_tenant(tenant_id)
    title, source = _stored(title, source)
    _pieces(source=source, title=title, text=text)
    known = Document.objects.filter(tenant_id=owner_id, source=source).first()
    if known is None:
        return "new"
    return "unchanged" if ingest.is_current(known, title=title, sha256=_sha256(text)) else "replaced"


def _stored(title: str, source: str) -> tuple[str, str]:
    """Return a title and a source as they are kept."""
    return " ".join(title.split()), source.strip()


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _not_stored(error: Exception) -> str:
    return f"The document was not stored, because it could not be embedded: {str(error).rstrip('.')}."


def listing(principal: Principal) -> QuerySet[Document]:
    """Return the documents that the principal may see, newest first.

    Raises:
        PermissionDenied: the scope documents:read is missing.
    """
    principal.require("documents:read")
    return principal.visible(Document.objects.order_by("-id"))


def get(principal: Principal, document_id: UUID) -> Document:
    """Raises NotFound; another tenant's document is as unknown as one that does not exist."""
    found = listing(principal).filter(pk=document_id).first()
    if found is None:
        raise _unknown(document_id)
    return found


def delete(principal: Principal, document_id: UUID) -> Document:
    """Take a document out of the knowledge base: no answer quotes it from now on. Raises NotFound."""
    principal.require("documents:write")
    removed = ingest.remove(principal.visible(Document.objects.filter(pk=document_id)))
    if not removed:
        raise _unknown(document_id)
    return removed[0]


def gone(principal: Principal, kept: set[str], *, prefix: str, suffixes: tuple[str, ...], tenant_id: int) -> list[str]:
    """Return the sources of a tree of files that are stored and not among `kept`: those with one of the suffixes, below
    the prefix. Web addresses and absolute paths are of no tree."""
    principal.require("documents:write")
    owner_id = principal.chosen_tenant(tenant_id)
    stored = Document.objects.filter(tenant_id=owner_id, source__startswith=prefix).values_list("source", flat=True)
    return sorted(
        source
        for source in stored
        if source not in kept and source.lower().endswith(suffixes) and "://" not in source and source[0] != "/"
    )


def delete_sources(principal: Principal, sources: list[str], *, tenant_id: int) -> list[str]:
    """Take the documents of these sources out of the knowledge base; return the sources that were there."""
    principal.require("documents:write")
    rows = Document.objects.filter(tenant_id=principal.chosen_tenant(tenant_id))
    removed = [
        document.source
        for start in range(0, len(sources), REMOVED_AT_ONCE)
        for document in ingest.remove(rows.filter(source__in=sources[start : start + REMOVED_AT_ONCE]))
    ]
    return sorted(removed)


def _unknown(document_id: UUID) -> NotFound:
    return NotFound(f"This tenant has no document {document_id}.")


def _embed(texts: list[str]) -> Embeddings:
    vectors: Embeddings = llm.provider().embed(texts, timeout_s=conf.model_timeout_s())
    return vectors


def _pieces(*, source: str, title: str, text: str) -> list[Piece]:
    _check(source=source, title=title, text=text)
    pieces = chunking.chunk(text, title=title)
    if not pieces:
        raise _invalid("text", "There is nothing to quote in it: write text below the headings.")
    return pieces


def _check(*, source: str, title: str, text: str) -> None:
    found = [
        {"field": field, "message": problem}
        for field, value, longest in (
            ("source", source, LONGEST_SOURCE),
            ("title", title, LONGEST_TITLE),
            ("text", text, LONGEST_TEXT),
        )
        if (problem := _problem_of(value, longest))
    ]
    if found:
        raise InvalidInput(f"The document cannot be stored: {sentences.detail(found)}", errors=found)


def _problem_of(value: str, longest: int) -> str:
    if not value:
        return "It is empty."
    if len(value) > longest:
        return f"It has {len(value)} characters; at most {longest} are possible."
    return "" if storable.is_storable(value) else "It contains characters that no text has: save it as UTF-8 text."


def _invalid(field: str, message: str) -> InvalidInput:
    return InvalidInput(
        f"The document cannot be stored: {field}: {message}", errors=[{"field": field, "message": message}]
    )
