"""The knowledge base."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from agentapp.api.answers.values import Id, Moment, Sha256, one_of
from agentapp.states import DocumentState


class Document(TypedDict):
    """A text that answers may quote."""

    id: Id
    source: Annotated[str, Field(description="a file name or an address, unique per tenant")]
    title: str
    collection: str
    media_type: Annotated[str, Field(description="of the file that it was read from; empty for a text")]
    state: Annotated[str, one_of(DocumentState.values)]
    error: Annotated[str | None, Field(description="why the last file was not processed; what was quoted before stays")]
    task: Annotated[Id | None, Field(description="what takes its file in; an operator finds it by this id")]
    sha256: Annotated[Sha256, Field(description="of the file, or of the text, that is quoted")]
    size: Annotated[int, Field(description="in characters")]
    created_at: Moment
    updated_at: Moment
