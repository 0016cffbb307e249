"""Take an uploaded file into the knowledge base: parse it, chunk it, embed the chunks in batches, index them.

A file without text goes the same way with nothing to embed: the last step tells the document why.
"""

from pydantic import BaseModel, ConfigDict

from agentapp import registry
from agentapp.flows import FanOut, Flow, Step


class ProcessDocumentInput(BaseModel):
    """What was uploaded. `title` and `collection` may be empty: the file's own title, the document's own collection."""

    model_config = ConfigDict(extra="forbid")

    document_id: str
    upload_id: str
    source: str
    file_type: str
    charset: str
    title: str
    collection: str


process_document = registry.add_flow(
    Flow(
        kind="process_document",
        version=1,
        title="Take a file into the knowledge base",
        input=ProcessDocumentInput,
        stages=(
            Step(
                "parse_document",
                bind={
                    "upload_id": "input.upload_id",
                    "file_type": "input.file_type",
                    "charset": "input.charset",
                    "source": "input.source",
                    "title": "input.title",
                },
            ),
            Step(
                "chunk_document",
                bind={
                    "text_id": "parse_document.text_id",
                    "title": "parse_document.title",
                    "unreadable": "parse_document.unreadable",
                },
            ),
            FanOut("embed_chunks", over="chunk_document.batches", each="batch_id"),
            Step(
                "index_document",
                bind={
                    "document_id": "input.document_id",
                    "file_type": "input.file_type",
                    "collection": "input.collection",
                    "title": "parse_document.title",
                    "characters": "parse_document.characters",
                    "embedded": "embed_chunks",
                    "unreadable": "chunk_document.unreadable",
                },
            ),
        ),
        result={
            "outcome": "index_document.outcome",
            "reason": "index_document.reason",
            "chunks": "index_document.chunks",
        },
        internal=True,
    )
)
