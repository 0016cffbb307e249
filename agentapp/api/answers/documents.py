"""The knowledge base."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from agentapp.api.answers.values import Id, Moment, Sha256


class Document(TypedDict):
    """A text that answers may quote."""

    id: Id
    source: Annotated[str, Field(description="a file name or an address, unique per tenant")]
    title: str
    sha256: Sha256
    size: Annotated[int, Field(description="in characters")]
    created_at: Moment
    updated_at: Moment
