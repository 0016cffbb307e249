"""Endpoints that answer with other things than JSON, as the OpenAPI document shows them."""

from __future__ import annotations

from typing import Any, Literal

import pydantic
from rest_framework.request import Request
from rest_framework.response import Response
from typing_extensions import TypedDict

from agentapp.api.contract.document import build
from agentapp.api.contract.operation import Operation, Webhook, events, file, nothing, one, page
from agentapp.api.endpoint import Endpoint, PublicEndpoint


class Thing(TypedDict):
    """A thing."""

    id: str


class ThingMoved(TypedDict):
    """The data of an event."""

    type: Literal["thing.moved"]
    thing: Thing


class NewThing(pydantic.BaseModel):
    """What a client sends."""

    model_config = pydantic.ConfigDict(extra="forbid")

    name: str = pydantic.Field(max_length=9)


class Things(Endpoint):
    scopes = {"GET": "tasks:read", "POST": "tasks:write"}
    contract = {
        "GET": Operation("list_things", "List things", answers={200: page(Thing)}),
        "POST": Operation(
            "make_thing", "Make a thing", body=NewThing, answers={201: one(Thing, "It is made.", "Location")}
        ),
    }

    def get(self, request: Request) -> Response:
        raise NotImplementedError

    def post(self, request: Request) -> Response:
        """A thing of that name."""
        raise NotImplementedError


class ThingStream(Endpoint):
    scopes = {"GET": "tasks:read"}
    contract = {
        "GET": Operation(
            "stream_thing",
            "Follow a thing",
            answers={200: events(ThingMoved, "One event for each move."), 204: nothing("Nothing more will happen.")},
            headers={"Last-Event-ID": "The id of the last event that was read."},
            problems=("too-many-tasks",),
        )
    }

    def get(self, request: Request, thing_id: str) -> Response:
        raise NotImplementedError


class ThingFile(PublicEndpoint):
    contract = {
        "GET": Operation(
            "get_thing_file",
            "Read the bytes of a thing",
            answers={
                200: file("The whole file.", "ETag", "Accept-Ranges"),
                206: file("The bytes that were asked for.", "Content-Range", "Content-Disposition"),
                304: nothing("You have it.", "ETag"),
            },
        )
    }
    path_parameters = {"number": int}

    def get(self, request: Request, number: str) -> Response:
        raise NotImplementedError


ADDRESSES: dict[str, type[Endpoint]] = {
    "things": Things,
    "things/{thing_id}/stream": ThingStream,
    "files/{number}": ThingFile,
}
WEBHOOKS = {
    "thing.moved": Webhook(
        "thing_moved", "A thing has moved", ThingMoved, headers={"X-Signature": "How to know that it is from us."}
    )
}


def document() -> Any:
    """Return the document of these endpoints."""
    return build(ADDRESSES, WEBHOOKS, server="/below")


def other_thing() -> Any:
    """Return another type of the same name."""

    class Thing(TypedDict):
        name: str

    return Thing
