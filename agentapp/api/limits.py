"""/limits: what every key is held to now, stopped and resumed; /queues: how far workers lag. For operators."""

from __future__ import annotations

from typing import Annotated, ClassVar

import pydantic
from rest_framework.request import Request
from rest_framework.response import Response

from agentapp.api import body, limit_shapes, pages, query, schemas
from agentapp.api.answers import limits as answers
from agentapp.api.contract.operation import Operation, one, page
from agentapp.api.endpoint import Endpoint
from agentapp.models import Limit
from agentapp.services import gates
from agentapp.states import KeyMode

# The words about a scope that does not exist are the service's.
KeyScope = Annotated[
    str, pydantic.Field(description="The scope of the key.", json_schema_extra={"enum": list(gates.KEY_SCOPES)})
]
KeyName = Annotated[
    str,
    pydantic.Field(
        min_length=1,
        max_length=gates.MOST_NAME_CHARACTERS,
        description="Its name: of a tenant the slug, of the whole installation `global`. It may contain slashes.",
    ),
]


def _set_mode(id: str, summary: str, body: type[schemas.SetMode] = schemas.StopKey) -> dict[str, Operation]:
    operation = Operation(id, summary, body=body, answers={200: one(answers.Limit)}, problems=("conflict",))
    return {"POST": operation}


class Limits(Endpoint):
    """GET /limits."""

    scopes = {"GET": gates.READ}
    contract = {
        "GET": Operation(
            "list_limits",
            "List the limit and the current use of every key",
            query=query.Limits,
            answers={200: page(answers.Limit)},
        )
    }

    def get(self, request: Request) -> Response:
        wanted = query.read(request, query.Limits)
        exact = {"scope": wanted.scope, "name": wanted.name}
        rows = gates.limits(self.principal).filter(**{field: value for field, value in exact.items() if value})
        running, used = gates.running(self.principal), gates.used_today(self.principal)

        def shape(found: list[Limit]) -> list[answers.Limit]:
            return [limit_shapes.limit(row, running=running[row.key], used=used.get(row.key)) for row in found]

        return pages.page(request, rows, wanted, shapes=shape, order=pages.BY_KEY)


class SetMode(Endpoint):
    """Base of the addresses that stop a key or let it go on."""

    scopes = {"POST": gates.WRITE}
    path_parameters = {"scope": KeyScope, "name": KeyName}
    mode: ClassVar[KeyMode]
    wants: ClassVar[type[schemas.SetMode]] = schemas.StopKey

    def post(self, request: Request, scope: str, name: str) -> Response:
        wanted = body.read(request, self.wants)
        row = gates.set_mode(self.principal, scope, name, self.mode, reason=wanted.reason)
        running, used = gates.running(self.principal), gates.used_today(self.principal)
        return Response(limit_shapes.limit(row, running=running[row.key], used=used.get(row.key)))


class Pause(SetMode):
    """POST /limits/{scope}/{name}/pause: nothing more begins."""

    mode = KeyMode.PAUSED
    contract = _set_mode("pause_key", "Start no more jobs of a key")


class Drain(SetMode):
    """POST /limits/{scope}/{name}/drain: only tasks that have begun go on."""

    mode = KeyMode.DRAINING
    contract = _set_mode("drain_key", "Continue only those tasks of a key that have started")


class Resume(SetMode):
    """POST /limits/{scope}/{name}/resume: everything begins again; a breaker is closed."""

    mode = KeyMode.OPEN
    wants = schemas.SetMode
    contract = _set_mode("resume_key", "Start jobs of a key again", schemas.SetMode)


class Queues(Endpoint):
    """GET /queues."""

    scopes = {"GET": gates.READ}
    contract = {
        "GET": Operation(
            "list_queues",
            "List the backlog of each queue",
            answers={200: page(answers.Queue, "All queues; `next` is always null.")},
        )
    }

    def get(self, request: Request) -> Response:
        return Response({"results": [limit_shapes.queue(lag) for lag in gates.queues(self.principal)], "next": None})
