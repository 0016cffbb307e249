"""/limits: what every key is held to now, stopped and resumed; /queues: how far workers lag. For operators."""

from __future__ import annotations

from typing import ClassVar

from rest_framework.request import Request
from rest_framework.response import Response

from agentapp.api import body, pages, query, schemas, shapes
from agentapp.api.endpoint import Endpoint
from agentapp.models import Limit
from agentapp.services import gates
from agentapp.states import KeyMode


class Limits(Endpoint):
    """GET /limits."""

    scopes = {"GET": gates.READ}
    parameters = {"GET": query.Limits}

    def get(self, request: Request) -> Response:
        wanted = query.read(request, query.Limits)
        exact = {"scope": wanted.scope, "name": wanted.name}
        rows = gates.limits(self.principal).filter(**{field: value for field, value in exact.items() if value})
        running = gates.running(self.principal)

        def shape(found: list[Limit]) -> list[shapes.Shape]:
            return [shapes.limit(row, running=running[row.key]) for row in found]

        return pages.page(request, rows, wanted, shapes=shape, order=pages.BY_KEY)


class SetMode(Endpoint):
    """Base of the addresses that stop a key or let it go on."""

    scopes = {"POST": gates.WRITE}
    mode: ClassVar[KeyMode]

    def post(self, request: Request, scope: str, name: str) -> Response:
        wanted = body.read(request, schemas.SetMode)
        row = gates.set_mode(self.principal, scope, name, self.mode, reason=wanted.reason)
        return Response(shapes.limit(row, running=gates.running(self.principal)[row.key]))


class Pause(SetMode):
    """POST /limits/{scope}/{name}/pause: nothing more begins."""

    mode = KeyMode.PAUSED


class Drain(SetMode):
    """POST /limits/{scope}/{name}/drain: only tasks that have begun go on."""

    mode = KeyMode.DRAINING


class Resume(SetMode):
    """POST /limits/{scope}/{name}/resume: everything begins again; a breaker is closed."""

    mode = KeyMode.OPEN


class Queues(Endpoint):
    """GET /queues."""

    scopes = {"GET": gates.READ}

    def get(self, request: Request) -> Response:
        return Response({"results": [shapes.queue(lag) for lag in gates.queues(self.principal)], "next": None})
