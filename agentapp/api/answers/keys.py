"""The key that asks."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from agentapp.api.answers.values import Moment


class Key(TypedDict):
    """An API key, without its secret."""

    name: str
    prefix: str
    tenant: str
    scopes: list[str]
    sees_payloads: Annotated[bool, Field(description="else prompts, responses, inputs and outputs are masked")]
    created_at: Moment
    expires_at: Moment | None
    last_used_at: Annotated[Moment | None, Field(description="to the minute")]
    replaced_by: Annotated[str | None, Field(description="the prefix of the key that it was rotated to")]


class ReplacedKey(TypedDict):
    """The secret before."""

    prefix: str
    expires_at: Moment | None


class RotatedKey(Key):
    """A key with its new secret, which is shown this once."""

    key: str
    replaced: ReplacedKey
