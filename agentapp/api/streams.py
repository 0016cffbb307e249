"""/tasks/{id}/stream, /tasks/{id}/ws, /stream, /stream-tokens: events as they happen.

An endpoint here only says whether a stream may be opened, and what it follows; agentapp.streams sends it.
"""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from django.http import HttpResponse
from rest_framework import exceptions
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from agentapp.api import body, links, problems, query, schemas, shapes
from agentapp.api.answers import streams as answers
from agentapp.api.contract.operation import EVENT_STREAM, Operation, nothing, one
from agentapp.api.contract.operation import events as events_of
from agentapp.api.endpoint import BearerKey, Endpoint, identifier
from agentapp.api.problems import Problem
from agentapp.errors import NotFound, PermissionDenied
from agentapp.lifecycle import tenant_context
from agentapp.policies import bounds
from agentapp.policies.permissions import PAYLOADS
from agentapp.services import api_keys, principals, workflows
from agentapp.streams import access, cursors, handover, hub, tokens
from agentapp.streams.following import FollowList, FollowTask

LAST_EVENT = {"Last-Event-ID": "The id of the last event that you have: what came after it is sent."}


class StreamKey(BearerKey):
    """A key in the header, or a stream token in the address."""

    token: tokens.Token | None = None

    def authenticate(self, request: Request) -> tuple[None, principals.Principal]:
        """Raises NotAuthenticated or AuthenticationFailed (401), PermissionDenied for a suspended tenant (403)."""
        text = request.query_params.get("token")
        if text is None:
            return super().authenticate(request)
        try:
            with tenant_context.platform_rows():
                self.token = tokens.read(text)
        except api_keys.BadKey as error:
            raise exceptions.AuthenticationFailed(str(error)) from error
        return None, self.token.principal

    def authenticate_header(self, request: Request) -> str:
        if request.query_params.get("token") is None:
            return super().authenticate_header(request)
        return 'Bearer realm="agentapp", error="invalid_token"'


class EventsOnly(BaseContentNegotiation):
    """A stream has one representation too; problems remain JSON."""

    def select_parser(self, request: Request, parsers: Any) -> None:
        """There is no body."""

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        if request.method in ("GET", "HEAD") and not request.accepts(EVENT_STREAM):
            raise exceptions.NotAcceptable(f"This is a stream: send `Accept: {EVENT_STREAM}`, or no Accept at all.")
        return renderers[0], JSONRenderer.media_type


class Stream(Endpoint):
    """Base of the addresses that open a stream."""

    scopes = {"GET": access.SCOPE}
    authentication_classes = (StreamKey,)
    content_negotiation_class = EventsOnly
    is_websocket = False

    @property
    def token_task(self) -> UUID | None:
        """The only task that the token of this request is for, if it is for one."""
        used = cast("StreamKey", self.request.successful_authenticator)
        return used.token.task if used.token else None

    def open(self, follow: hub.Follow) -> HttpResponse:
        """Say that this request becomes a stream."""
        found = handover.of(self.request._request)
        if found is None:
            raise problems.unavailable("This process serves no streams: it was not started as an ASGI application.")
        if self.is_websocket and not found.is_websocket:
            detail = "This address speaks WebSocket. Server-sent events are at .../stream."
            raise Problem("upgrade-required", detail, headers={"Upgrade": "websocket", "Connection": "Upgrade"})
        if found.is_websocket and not self.is_websocket:
            raise Problem("bad-request", "This address sends server-sent events. A WebSocket of a task is at .../ws.")
        if hub.is_full():
            raise problems.unavailable("This process serves as many streams as it may.")
        if self.request.method != "HEAD":
            found.follow = follow
        return HttpResponse(content_type=EVENT_STREAM)


class TaskStream(Stream):
    """GET /tasks/{id}/stream."""

    contract = {
        "GET": Operation(
            "stream_task",
            "Follow a task by server-sent events",
            query=query.Stream,
            answers={200: events_of(answers.StreamEvent, "Its history so far, then what happens, until it has ended.")},
            headers=LAST_EVENT,
        )
    }

    def get(self, request: Request, task_id: str) -> HttpResponse:
        wanted = query.read(request, query.Stream)
        task = identifier(task_id, noun="task")
        if self.token_task not in (None, task):
            raise NotFound(f"This tenant has no task {task}.")
        row = workflows.get(self.principal, task)
        self.principal.require(PAYLOADS, row.tenant_id)
        return self.open(FollowTask(access.of(self.principal), task, _place(request, wanted)))


class TaskSocket(TaskStream):
    """GET /tasks/{id}/ws, as a WebSocket."""

    contract = {
        "GET": Operation(
            "open_task_socket",
            "Follow a task over a WebSocket",
            query=query.Stream,
            answers={101: nothing("The same events, one message each.")},
            headers=LAST_EVENT,
            problems=("upgrade-required",),
        )
    }
    is_websocket = True


class ListStream(Stream):
    """GET /stream: what happens to all tasks that the key may see."""

    contract = {
        "GET": Operation(
            "stream_tasks",
            "Follow all tasks by server-sent events",
            query=query.ListStream,
            answers={200: events_of(answers.StreamEvent, "What happens from now on, or after the last event.")},
            headers=LAST_EVENT,
        )
    }

    def get(self, request: Request) -> HttpResponse:
        wanted = query.read(request, query.ListStream)
        if self.token_task is not None:
            raise PermissionDenied("This stream token is for one task.")
        if self.principal.api_key is not None:
            # Of a person, access leaves out the tenants whose payloads they may not see.
            self.principal.require(PAYLOADS)
        text = request.headers.get("Last-Event-ID") or wanted.last_event_id
        position = cursors.read(text) if text else None
        follow = FollowList(
            access.of(self.principal), position, is_lost=bool(text) and position is None, state=wanted.state,
            kind=wanted.kind, labels=dict(wanted.label),
        )  # fmt: skip
        return self.open(follow)


class StreamTokens(Endpoint):
    """POST /stream-tokens: a token for the address of a stream, of one task or of all."""

    scopes = {"POST": access.SCOPE}
    contract = {
        "POST": Operation(
            "make_stream_token",
            "Make a token for the address of a stream",
            body=schemas.StreamToken,
            answers={201: one(answers.IssuedStreamToken, "The token, which is good for a short time.")},
            problems=("not-found",),
        )
    }

    def post(self, request: Request) -> Response:
        wanted = body.read(request, schemas.StreamToken)
        address = "/stream"
        if wanted.task is not None:
            workflows.get(self.principal, wanted.task)
            address = f"/tasks/{wanted.task}/stream"
        token, expires_at = tokens.issue(self.principal, task=wanted.task)
        return Response(
            {
                "token": token,
                "task": str(wanted.task) if wanted.task else None,
                "expires_at": shapes.time(expires_at),
                "url": links.to(f"{address}?token={token}"),
            },
            status=201,
        )


def _place(request: Request, wanted: query.Stream) -> int:
    """Return the number after which to go on; the header is newer than the address, which a browser keeps.

    Raises:
        Problem: 400, it is no number of an event.
    """
    header = request.headers.get("Last-Event-ID")
    found = bounds.whole(header or wanted.last_event_id or "0", most=bounds.LARGEST_INTEGER)
    if found is not None:
        return found
    sentence = "This is the number of the last event that you have, or 0."
    if header:
        raise Problem("bad-request", f"Last-Event-ID: {sentence}")
    raise query.bad([{"field": "last_event_id", "message": sentence}])
