"""Read what stands behind the question mark: declared parameters only, each at most once unless it is a list."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar, get_origin
from uuid import UUID

import pydantic
from rest_framework.request import Request

from agentapp.api.problems import Problem
from agentapp.policies import bounds, moments, search, sentences
from agentapp.services import gates
from agentapp.states import ApprovalState, DeliveryState, GateScope, WorkflowState

Q = TypeVar("Q", bound=pydantic.BaseModel)
LIMIT_MAX = 200
# Many a proxy gives up a request after a minute.
LONGEST_WAIT_S = 50
NAMELESS = "(without a name)"


def _moment(text: str) -> datetime:
    return moments.read(text, hint=" (a + is written %2B)")


def _label(text: str) -> tuple[str, str]:
    key, colon, value = text.partition(":")
    if not colon or not key:
        raise ValueError("Write label=key:value.")
    return key, value


def _key_scope(text: str) -> str:
    if text not in gates.KEY_SCOPES:
        raise ValueError(f"Choose one of {', '.join(gates.KEY_SCOPES)}.")
    return text


Moment = Annotated[datetime, pydantic.BeforeValidator(_moment)]
KeyScope = Annotated[
    str,
    pydantic.AfterValidator(_key_scope),
    pydantic.WithJsonSchema({"type": "string", "enum": list(gates.KEY_SCOPES)}),
]
Kind = Annotated[str, pydantic.Field(max_length=100)]
Label = Annotated[
    tuple[str, str],
    pydantic.BeforeValidator(_label),
    pydantic.WithJsonSchema({"type": "string", "pattern": "^[^:]+:", "examples": ["from:website"]}),
]


class Parameters(pydantic.BaseModel):
    """What may stand behind a question mark: nothing else than the fields."""

    model_config = pydantic.ConfigDict(extra="forbid")


class Page(Parameters):
    """The parameters of every list."""

    limit: int = pydantic.Field(50, ge=1, le=LIMIT_MAX, description="how many rows a page has at most")
    cursor: str = pydantic.Field("", max_length=1_000, description="take it from `next` of the page before")
    total: bool = pydantic.Field(False, description="count all rows of the list too")


class Documents(Page):
    """`collection` narrows it to the documents of one collection."""

    collection: str = pydantic.Field("", max_length=100, description="only those of this collection")


class Memories(Page):
    """`about` narrows it to one customer."""

    about: str = pydantic.Field("", max_length=320, description="only what is about this customer")
    superseded: bool = pydantic.Field(False, description="also the versions that do not hold any more")


class Upload(Parameters):
    """About a file that is the body itself."""

    source: str = pydantic.Field(
        "", max_length=500, description="its name or address; else `filename` of Content-Disposition"
    )
    title: str = pydantic.Field("", max_length=300, description="else the title in the file, or its name")
    collection: str = pydantic.Field(
        "", max_length=100, description="else the one that the document is in, or `default`"
    )


class Tasks(Page):
    """Of several states or kinds any fits, of several labels all must. `q` is read by policies/search.py."""

    state: list[WorkflowState] = pydantic.Field([], max_length=len(WorkflowState), description="any of these")
    kind: list[Kind] = pydantic.Field([], max_length=20, description="any of these")
    label: list[Label] = pydantic.Field([], max_length=10, description="key:value; repeat it to ask for several")
    created_after: Moment | None = None
    created_before: Moment | None = None
    updated_after: Moment | None = pydantic.Field(None, description="those to which something has happened since")
    parent: UUID | None = pydantic.Field(None, description="the parts of this task, which are not shown otherwise")
    q: str = pydantic.Field(
        "",
        max_length=search.LONGEST,
        description='all of these words, in input, result, error or labels, or the beginning of an id; `"a phrase"`, '
        "`-without`, `begin*`",
    )


class Task(Parameters):
    """`wait`: for how many seconds the answer may wait until the task is over or a person must act; with If-None-Match,
    until it is another one."""

    wait: int = pydantic.Field(0, ge=0, le=LONGEST_WAIT_S, description="seconds for which the answer may wait")


class Approvals(Page):
    """`task` narrows it to the approvals of one task."""

    state: ApprovalState | None = None
    task: UUID | None = pydantic.Field(None, description="only those of this task")
    assigned_to: Literal["me", "nobody", "anybody"] | None = pydantic.Field(
        None, description="only those that this key, nobody, or somebody has claimed"
    )
    snoozed: bool = pydantic.Field(
        False, description="true: only those that are snoozed, which a list without `task` leaves out"
    )


class DeadLetters(Page):
    """`type` is a job type, `fingerprint` what equal failures share."""

    type: str = pydantic.Field("", max_length=100, description="a job type")
    fingerprint: str = pydantic.Field("", max_length=100, description="what equal failures share")


class DeadLetterGroups(Parameters):
    """The first groups, not a page: `next` is always null."""

    limit: int = pydantic.Field(50, ge=1, le=LIMIT_MAX, description="how many groups are shown at most")
    type: str = pydantic.Field("", max_length=100, description="a job type")


class Gates(Page):
    """`scope` narrows it to the gates that count by it."""

    scope: GateScope | None = None


class GateChanges(Page):
    """`target` is a gate in the words of the list, or a key."""

    target: str = pydantic.Field("", max_length=200, description="a gate as the list names it, or a key")


class Limits(Page):
    """`scope` and `name` narrow it, together to one key."""

    scope: KeyScope | None = None
    name: str = pydantic.Field("", max_length=100)


class DeliveriesOfEndpoint(Page):
    """Of several states any fits."""

    state: list[DeliveryState] = pydantic.Field([], max_length=len(DeliveryState), description="any of these")


class WebhookDeliveries(DeliveriesOfEndpoint):
    """`task` narrows it to what was told of one task."""

    task: UUID | None = None


class Events(Parameters):
    """`last_event_id` is what stands in the `seq` of an event, and is its id in a stream."""

    limit: int = pydantic.Field(50, ge=1, le=LIMIT_MAX, description="how many events a page has at most")
    last_event_id: int = pydantic.Field(
        0, ge=0, le=bounds.LARGEST_INTEGER, description="only what came after the event with this number"
    )


class Stream(Parameters):
    """`token` is read where a request is authenticated."""

    last_event_id: str = pydantic.Field("", max_length=20, description="as the header `Last-Event-ID`")
    token: str = pydantic.Field("", description="a stream token, instead of a key")


class ListStream(Parameters):
    """`state`, `kind` and `label` as in a list of tasks."""

    state: WorkflowState | None = None
    kind: str = pydantic.Field("", max_length=100)
    label: list[Label] = pydantic.Field([], max_length=10, description="key:value; repeat it to ask for several")
    last_event_id: str = pydantic.Field("", description="as the header `Last-Event-ID`")
    token: str = pydantic.Field("", description="a stream token, instead of a key")


class Delete(Parameters):
    """What stands behind the address of something that is deleted: a DELETE has no body."""

    reason: str = pydantic.Field("", max_length=300, description="is recorded with the change")


class Nothing(Parameters):
    """Of an address without parameters."""


def read(request: Request, schema: type[Q]) -> Q:
    """Return the parameters as `schema`.

    Raises:
        Problem: 400, a parameter is unknown, given twice, or its value is not possible.
    """
    values: dict[str, Any] = {}
    for name, given in request.query_params.lists():
        if any("\x00" in text for text in given):
            raise bad([{"field": name, "message": "Take out the character NUL (%00)."}])
        field = schema.model_fields.get(name)
        if field is not None and get_origin(field.annotation) is list:
            values[name] = given
        elif len(given) > 1:
            raise bad([{"field": name, "message": "Give this parameter once."}])
        else:
            values[name] = given[0]
    try:
        return schema.model_validate(values)
    except pydantic.ValidationError as error:
        known = ", ".join(schema.model_fields) or "none"
        unknown = {".".join(map(str, item["loc"])) for item in error.errors() if item["type"] == "extra_forbidden"}
        raise bad(
            [
                {"field": item["field"], "message": f"There is no such parameter. Known are {known}."}
                if item["field"] in unknown
                else item
                for item in sentences.field_errors(error)
            ]
        ) from error


def bad(found: list[dict[str, str]]) -> Problem:
    """Say which parameters are wrong."""
    found = [item | {"field": item["field"] or NAMELESS} for item in found]
    return Problem("bad-query", sentences.detail(found), errors=found)
