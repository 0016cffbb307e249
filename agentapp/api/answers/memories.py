"""What is remembered of customers."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from agentapp.api.answers.values import Id, Moment


class Memory(TypedDict):
    """One version of a fact about a customer."""

    id: Id
    about: Annotated[str, Field(description="whom it is about, in lower case")]
    fact: Annotated[Id, Field(description="the same in all versions of a fact")]
    text: str
    untrusted: Annotated[bool, Field(description="it was read from a text that others wrote")]
    written_by: Annotated[str, Field(description="a key, a person or a job type")]
    task: Annotated[Id | None, Field(description="the task whose text it was read from")]
    valid_from: Moment
    valid_until: Annotated[Moment | None, Field(description="since when another version holds; null: it holds")]


class Erased(TypedDict):
    """What was erased."""

    facts: Annotated[int, Field(description="how many facts, each with all its versions")]
