"""/documents: the knowledge base that answers quote."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from agentapp.api import body, document_shapes, files, links, pages, query, schemas
from agentapp.api.answers import documents as answers
from agentapp.api.contract.headers import LOCATION
from agentapp.api.contract.operation import Operation, nothing, one, page
from agentapp.api.endpoint import Endpoint, identifier
from agentapp.services import documents, uploads


class Documents(Endpoint):
    """POST /documents, GET /documents."""

    scopes = {"GET": "documents:read", "POST": "documents:write"}
    contract = {
        "GET": Operation(
            "list_documents",
            "List the knowledge base, newest first",
            query=query.Documents,
            answers={200: page(answers.Document)},
        ),
        "POST": Operation(
            "load_document",
            "Load a text or a file into the knowledge base",
            query=query.Upload,
            body=schemas.LoadDocument,
            files=files.BODIES,
            answers={
                200: one(answers.Document, "The source was known; its text is replaced. Of a file: there is no work."),
                201: one(answers.Document, "The source is new."),
                202: one(answers.Document, "The file is stored, and is being processed.", LOCATION),
            },
            problems=("provider-refused",),
        ),
    }

    def post(self, request: Request) -> Response:
        """The same `source` again replaces its text. A text, sent as JSON, is quoted from when the answer comes; a file
        when its `state` is `ready`, and until then its earlier text. Parameters behind the question mark are for a file
        that is the body itself."""
        named = query.read(request, query.Upload)
        if files.is_sent(request):
            return self._upload(files.read(request, named))
        files.takes_no_name(named)
        wanted = body.read(request, schemas.LoadDocument)
        document, stored = documents.load(self.principal, **wanted.model_dump())
        is_new = stored and document.created_at == document.updated_at
        return Response(document_shapes.document(document), status=201 if is_new else 200)

    def _upload(self, file: uploads.File) -> Response:
        document = uploads.upload(self.principal, file)
        shown = document_shapes.document(document)
        if shown["state"] != "processing":
            return Response(shown)
        return Response(shown, status=202, headers={LOCATION: links.to(f"/documents/{document.pk}")})

    def get(self, request: Request) -> Response:
        wanted = query.read(request, query.Documents)
        rows = documents.listing(self.principal, collection=wanted.collection)
        return pages.page(request, rows, wanted, shapes=document_shapes.documents)


class OneDocument(Endpoint):
    """GET and DELETE /documents/{id}."""

    scopes = {"GET": "documents:read", "DELETE": "documents:write"}
    contract = {
        "GET": Operation("get_document", "Read about a document", answers={200: one(answers.Document)}),
        "DELETE": Operation(
            "delete_document",
            "Take a document out of the knowledge base",
            answers={204: nothing("No answer quotes it from now on.")},
            problems=("conflict",),
        ),
    }

    def get(self, request: Request, document_id: str) -> Response:
        found = documents.get(self.principal, identifier(document_id, noun="document"))
        return Response(document_shapes.document(found))

    def delete(self, request: Request, document_id: str) -> Response:
        """409 while a legal hold keeps it."""
        documents.delete(self.principal, identifier(document_id, noun="document"))
        return Response(status=204)
