"""/dead-letters: jobs that failed for good and wait for a person."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from agentapp.api import body, pages, query, schemas, shapes
from agentapp.api.endpoint import Endpoint, identifier
from agentapp.api.tasks import with_attempts
from agentapp.services import dead_letters


class DeadLetters(Endpoint):
    """GET /dead-letters, the latest first."""

    scopes = {"GET": "tasks:read"}

    def get(self, request: Request) -> Response:
        wanted = query.read(request, query.DeadLetters)
        rows = with_attempts(dead_letters.listing(self.principal))
        if wanted.type:
            rows = rows.filter(type=wanted.type)
        return Response(
            pages.page(request, rows, wanted, shapes=shapes.each(shapes.whole_job), order=pages.LAST_FINISHED_FIRST)
        )


class Replay(Endpoint):
    """POST /dead-letters/{id}/replay."""

    scopes = {"POST": "dead_letters:write"}

    def post(self, request: Request, job_id: str) -> Response:
        job = identifier(job_id, noun="dead letter")
        wanted = body.read(request, schemas.Replay)
        return Response(shapes.whole_job(dead_letters.replay(self.principal, job, payload=wanted.payload)))


class CancelDeadLetter(Endpoint):
    """POST /dead-letters/{id}/cancel: its task ends with it."""

    scopes = {"POST": "dead_letters:write"}

    def post(self, request: Request, job_id: str) -> Response:
        job = identifier(job_id, noun="dead letter")
        wanted = body.read(request, schemas.Cancel)
        return Response(shapes.whole_job(dead_letters.cancel(self.principal, job, reason=wanted.reason)))
