"""/documents: the knowledge base that answers quote."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from agentapp.api import body, pages, query, schemas, shapes
from agentapp.api.answers import documents as answers
from agentapp.api.contract.operation import Operation, nothing, one, page
from agentapp.api.endpoint import Endpoint, identifier
from agentapp.services import documents


class Documents(Endpoint):
    """POST /documents, GET /documents."""

    scopes = {"GET": "documents:read", "POST": "documents:write"}
    contract = {
        "GET": Operation(
            "list_documents",
            "List the knowledge base, newest first",
            query=query.Page,
            answers={200: page(answers.Document)},
        ),
        "POST": Operation(
            "load_document",
            "Load a text into the knowledge base",
            body=schemas.LoadDocument,
            answers={
                200: one(answers.Document, "The source was known; its text is replaced."),
                201: one(answers.Document, "The source is new."),
            },
            problems=("provider-refused",),
        ),
    }

    def post(self, request: Request) -> Response:
        """The same `source` again replaces its text."""
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
    contract = {
        "GET": Operation("get_document", "Read about a document", answers={200: one(answers.Document)}),
        "DELETE": Operation(
            "delete_document",
            "Take a document out of the knowledge base",
            answers={204: nothing("No answer quotes it from now on.")},
        ),
    }

    def get(self, request: Request, document_id: str) -> Response:
        return Response(shapes.document(documents.get(self.principal, identifier(document_id, noun="document"))))

    def delete(self, request: Request, document_id: str) -> Response:
        documents.delete(self.principal, identifier(document_id, noun="document"))
        return Response(status=204)
