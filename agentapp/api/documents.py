"""/documents: the knowledge base that answers quote."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from agentapp.api import body, pages, query, schemas, shapes
from agentapp.api.endpoint import Endpoint, identifier
from agentapp.services import documents


class Documents(Endpoint):
    """POST /documents, GET /documents."""

    scopes = {"GET": "documents:read", "POST": "documents:write"}
    parameters = {"GET": query.Page}

    def post(self, request: Request) -> Response:
        """Load a text: 201 for a source that is new, 200 for one that was known."""
        wanted = body.read(request, schemas.LoadDocument)
        document, stored = documents.load(self.principal, source=wanted.source, title=wanted.title, text=wanted.text)
        is_new = stored and document.created_at == document.updated_at
        return Response(shapes.document(document), status=201 if is_new else 200)

    def get(self, request: Request) -> Response:
        wanted = query.read(request, query.Page)
        return pages.page(request, documents.listing(self.principal), wanted, shapes=shapes.each(shapes.document))


class OneDocument(Endpoint):
    """GET and DELETE /documents/{id}."""

    scopes = {"GET": "documents:read", "DELETE": "documents:write"}

    def get(self, request: Request, document_id: str) -> Response:
        return Response(shapes.document(documents.get(self.principal, identifier(document_id, noun="document"))))

    def delete(self, request: Request, document_id: str) -> Response:
        documents.delete(self.principal, identifier(document_id, noun="document"))
        return Response(status=204)
