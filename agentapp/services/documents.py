"""The knowledge base: load a text, list what is there. [C9]"""

from __future__ import annotations

import hashlib

from django.db.models import QuerySet

from agentapp import conf, llm
from agentapp.errors import InvalidInput, ModelRefused, PermanentError, TransientError, Unavailable
from agentapp.llm.answers import Embeddings
from agentapp.models import Document
from agentapp.policies import storable
from agentapp.retrieval import chunking, ingest
from agentapp.services.principals import Principal

LONGEST_TEXT = 1_000_000
LONGEST_TITLE = 300
LONGEST_SOURCE = 500


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
    title, source = " ".join(title.split()), source.strip()
    _check(source=source, title=title, text=text)
    pieces = chunking.chunk(text, title=title)
    if not pieces:
        raise _invalid("text", "There is nothing to quote in it: write text below the headings.")
    sha256 = hashlib.sha256(text.encode()).hexdigest()
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


def _not_stored(error: Exception) -> str:
    return f"The document was not stored, because it could not be embedded: {str(error).rstrip('.')}."


def listing(principal: Principal) -> QuerySet[Document]:
    """Return the documents that the principal may see, newest first.

    Raises:
        PermissionDenied: the scope documents:read is missing.
    """
    principal.require("documents:read")
    return principal.visible(Document.objects.order_by("-id"))


def _embed(texts: list[str]) -> Embeddings:
    vectors: Embeddings = llm.provider().embed(texts, timeout_s=conf.model_timeout_s())
    return vectors


def _check(*, source: str, title: str, text: str) -> None:
    for field, value, longest in (
        ("source", source, LONGEST_SOURCE),
        ("title", title, LONGEST_TITLE),
        ("text", text, LONGEST_TEXT),
    ):
        if not value:
            raise _invalid(field, "It is empty.")
        if len(value) > longest:
            raise _invalid(field, f"It has {len(value)} characters; at most {longest} are possible.")
        if not storable.is_storable(value):
            raise _invalid(field, "It contains characters that no text has: save it as UTF-8 text.")


def _invalid(field: str, message: str) -> InvalidInput:
    return InvalidInput(
        f"The document cannot be stored: {field}: {message}", errors=[{"field": field, "message": message}]
    )
