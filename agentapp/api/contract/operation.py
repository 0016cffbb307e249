"""What an endpoint declares about one of its methods; the OpenAPI document is made of it.

    contract = {"GET": Operation("list_tasks", "List tasks", query=query.Tasks, answers={200: page(Task)})}

What follows from the address, the scope, the query and the body is added: parameters, security, and most problems.
`problems` names the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pydantic

JSON = "application/json"
EVENT_STREAM = "text/event-stream"


@dataclass(frozen=True)
class Page:
    """A list of `{results, next}`."""

    item: Any


@dataclass(frozen=True)
class Answer:
    """A successful answer: what it holds, by media type, and the names of its headers; `optional` are not always sent.

    A value of `content` is a type, a Page, or None for bytes, which have no schema. `headers.py` describes the headers.
    """

    description: str = ""
    content: Mapping[str, Any] = field(default_factory=dict)
    headers: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


@dataclass(frozen=True)
class Operation:
    """One method of one address.

    `also` are scopes that it needs beside the one of the endpoint, because its answer shows what they let a key read.
    `files` are bodies beside JSON: a JSON Schema by media type, empty for bytes. `headers` are those that a client may
    send, with a description each. Without a `description`, the docstring of the method is it.
    """

    id: str
    summary: str
    answers: Mapping[int, Answer]
    query: type[pydantic.BaseModel] | None = None
    body: type[pydantic.BaseModel] | None = None
    files: Mapping[str, Any] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    description: str = ""


@dataclass(frozen=True)
class Webhook:
    """A request that we send to an address of the client: for the section `webhooks` of the document."""

    id: str
    summary: str
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)


def one(shape: Any, description: str = "", *headers: str, optional: tuple[str, ...] = ()) -> Answer:
    """Return the answer that is one JSON object."""
    return Answer(description, {JSON: shape}, headers, optional)


def page(item: Any, description: str = "") -> Answer:
    """Return the answer that is a list."""
    return Answer(description, {JSON: Page(item)})


def nothing(description: str, *headers: str, optional: tuple[str, ...] = ()) -> Answer:
    """Return the answer without a body: 204, 304."""
    return Answer(description, {}, headers, optional)


def file(description: str, *headers: str) -> Answer:
    """Return the answer of bytes: 200 and 206."""
    return Answer(description, {"*/*": None}, headers)


def events(shape: Any, description: str) -> Answer:
    """Return the answer that is a stream of server-sent events, each with `shape` as its data."""
    return Answer(description, {EVENT_STREAM: shape})
