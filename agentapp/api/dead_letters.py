"""/dead-letters: jobs that failed for good and wait for a person; /dead-letter-replays: many of them at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from rest_framework.request import Request
from rest_framework.response import Response

from agentapp.api import body, links, pages, query, schemas, shapes
from agentapp.api.endpoint import Endpoint, identifier
from agentapp.api.tasks import with_attempts
from agentapp.models import Job
from agentapp.services import bulk_replays, dead_letters


class DeadLetters(Endpoint):
    """GET /dead-letters, the latest first."""

    scopes = {"GET": "tasks:read"}
    parameters = {"GET": query.DeadLetters}

    def get(self, request: Request) -> Response:
        wanted = query.read(request, query.DeadLetters)
        rows = with_attempts(dead_letters.listing(self.principal))
        if wanted.type:
            rows = rows.filter(type=wanted.type)
        if wanted.fingerprint:
            rows = dead_letters.alike(rows, fingerprint=wanted.fingerprint)
        shape = shapes.each(shapes.dead_letter)
        return pages.page(request, rows, wanted, shapes=shape, order=pages.LAST_FINISHED_FIRST)


class Groups(Endpoint):
    """GET /dead-letters/groups: equal failures together, the largest group first."""

    scopes = {"GET": "tasks:read"}
    parameters = {"GET": query.DeadLetterGroups}

    def get(self, request: Request) -> Response:
        wanted = query.read(request, query.DeadLetterGroups)
        found = dead_letters.groups(self.principal, type=wanted.type)[: wanted.limit]
        return Response({"results": [shapes.dead_letter_group(group) for group in found], "next": None})


class ReplayAll(Endpoint):
    """POST /dead-letters/replay: all of one kind, a few first."""

    scopes = {"POST": "dead_letters:write"}

    def post(self, request: Request) -> Response:
        wanted = body.read(request, schemas.ReplayAll)
        row = bulk_replays.start(self.principal, **wanted.model_dump())
        return Response(
            shapes.bulk_replay(row), status=202, headers={"Location": links.to(f"/dead-letter-replays/{row.pk}")}
        )


class ChangeDeadLetter(Endpoint):
    """Base of the addresses at which a person decides about one dead letter."""

    scopes = {"POST": "dead_letters:write"}
    wants: ClassVar[type[schemas.Body]]
    change: ClassVar[Callable[..., Job]]

    def post(self, request: Request, job_id: str) -> Response:
        job = identifier(job_id, noun="dead letter")
        wanted = body.read(request, self.wants)
        return Response(shapes.whole_job(type(self).change(self.principal, job, **wanted.model_dump())))


class Replay(ChangeDeadLetter):
    """POST /dead-letters/{id}/replay."""

    wants, change = schemas.Replay, dead_letters.replay


class Resolve(ChangeDeadLetter):
    """POST /dead-letters/{id}/resolve: a person enters the output."""

    wants, change = schemas.Resolve, dead_letters.resolve


class CancelDeadLetter(ChangeDeadLetter):
    """POST /dead-letters/{id}/cancel: its task ends with it."""

    wants, change = schemas.Cancel, dead_letters.cancel


class BulkReplays(Endpoint):
    """GET /dead-letter-replays, newest first."""

    scopes = {"GET": "tasks:read"}
    parameters = {"GET": query.Page}

    def get(self, request: Request) -> Response:
        wanted = query.read(request, query.Page)
        rows = bulk_replays.listing(self.principal)
        return pages.page(request, rows, wanted, shapes=shapes.each(shapes.bulk_replay))


class OneBulkReplay(Endpoint):
    """GET /dead-letter-replays/{id}."""

    scopes = {"GET": "tasks:read"}

    def get(self, request: Request, bulk_id: str) -> Response:
        row = bulk_replays.get(self.principal, identifier(bulk_id, noun="bulk replay"))
        return Response(shapes.bulk_replay(row))


class AbortBulkReplay(Endpoint):
    """POST /dead-letter-replays/{id}/abort: what is under way goes on, the rest stays as it is."""

    scopes = {"POST": "dead_letters:write"}

    def post(self, request: Request, bulk_id: str) -> Response:
        row_id = identifier(bulk_id, noun="bulk replay")
        wanted = body.read(request, schemas.Abort)
        return Response(shapes.bulk_replay(bulk_replays.abort(self.principal, row_id, reason=wanted.reason)))
