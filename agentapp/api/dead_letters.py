"""/dead-letters: jobs that failed for good and wait for a person; /dead-letter-replays: many of them at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from rest_framework.request import Request
from rest_framework.response import Response

from agentapp.api import body, links, pages, query, schemas, shapes
from agentapp.api.answers import dead_letters as answers
from agentapp.api.answers.tasks import Task, WholeJob
from agentapp.api.contract.headers import LOCATION
from agentapp.api.contract.operation import Operation, one, page
from agentapp.api.endpoint import Endpoint, identifier
from agentapp.api.tasks import with_attempts
from agentapp.models import Job
from agentapp.services import bulk_replays, dead_letters, letter_groups


class DeadLetters(Endpoint):
    """GET /dead-letters, the latest first."""

    scopes = {"GET": "tasks:read"}
    contract = {
        "GET": Operation(
            "list_dead_letters",
            "List dead letters, the latest first",
            query=query.DeadLetters,
            answers={200: page(answers.DeadLetter)},
        )
    }

    def get(self, request: Request) -> Response:
        wanted = query.read(request, query.DeadLetters)
        rows = with_attempts(dead_letters.listing(self.principal))
        if wanted.type:
            rows = rows.filter(type=wanted.type)
        if wanted.fingerprint:
            rows = letter_groups.alike(rows, fingerprint=wanted.fingerprint)
        shape = shapes.each(shapes.dead_letter)
        return pages.page(request, rows, wanted, shapes=shape, order=pages.LAST_FINISHED_FIRST)


class Groups(Endpoint):
    """GET /dead-letters/groups: equal failures together, first those that need a person most."""

    scopes = {"GET": "tasks:read"}
    contract = {
        "GET": Operation(
            "list_dead_letter_groups",
            "List equal failures together, first those that need a person most",
            query=query.DeadLetterGroups,
            answers={200: page(answers.DeadLetterGroup, "The first groups; `next` is always null.")},
        )
    }

    def get(self, request: Request) -> Response:
        wanted = query.read(request, query.DeadLetterGroups)
        found = dead_letters.groups(self.principal, type=wanted.type)[: wanted.limit]
        return Response({"results": [shapes.dead_letter_group(group) for group in found], "next": None})


class ReplayAll(Endpoint):
    """POST /dead-letters/replay: all of one kind, a few first."""

    scopes = {"POST": "dead_letters:write"}
    contract = {
        "POST": Operation(
            "start_dead_letter_replay",
            "Replay all dead letters of one kind, a few of them first",
            body=schemas.ReplayAll,
            answers={202: one(answers.BulkReplay, "The bulk replay.", LOCATION)},
            problems=("conflict", "not-found"),
            also=("tasks:read",),
        )
    }

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
    contract = {
        "POST": Operation(
            "replay_dead_letter",
            "Replay a dead letter, as it is, with another payload, or from a stage",
            body=schemas.Replay,
            answers={200: one(WholeJob, "The job, which has all its attempts again.")},
            problems=("conflict",),
            also=("tasks:read",),
        )
    }


class Resolve(ChangeDeadLetter):
    """POST /dead-letters/{id}/resolve: a person enters the output."""

    wants, change = schemas.Resolve, dead_letters.resolve
    contract = {
        "POST": Operation(
            "resolve_dead_letter",
            "Finish a dead letter by hand with an output",
            body=schemas.Resolve,
            answers={200: one(WholeJob, "The job, which is completed.")},
            problems=("conflict",),
            also=("tasks:read",),
        )
    }


class CancelDeadLetter(ChangeDeadLetter):
    """POST /dead-letters/{id}/cancel: its task ends with it."""

    wants, change = schemas.GiveUp, dead_letters.cancel
    contract = {
        "POST": Operation(
            "cancel_dead_letter",
            "End the task of a dead letter",
            body=schemas.GiveUp,
            answers={200: one(WholeJob, "The job, which is cancelled.")},
            problems=("conflict",),
            also=("tasks:read",),
        )
    }


class Notify(Endpoint):
    """POST /dead-letters/{id}/notify: the client of its task is told what happened."""

    scopes = {"POST": "dead_letters:write"}
    contract = {
        "POST": Operation(
            "notify_of_dead_letter",
            "Tell the client of its task what happened",
            body=schemas.Notify,
            answers={200: one(Task, "The task that the client asked for, with the notice.")},
            problems=("conflict",),
            also=("tasks:read",),
        )
    }

    def post(self, request: Request, job_id: str) -> Response:
        job = identifier(job_id, noun="dead letter")
        wanted = body.read(request, schemas.Notify)
        return Response(shapes.task(dead_letters.notify(self.principal, job, text=wanted.text)))


class BulkReplays(Endpoint):
    """GET /dead-letter-replays, newest first."""

    scopes = {"GET": "tasks:read"}
    contract = {
        "GET": Operation(
            "list_dead_letter_replays",
            "List bulk replays, newest first",
            query=query.Page,
            answers={200: page(answers.BulkReplay)},
        )
    }

    def get(self, request: Request) -> Response:
        wanted = query.read(request, query.Page)
        rows = bulk_replays.listing(self.principal)
        return pages.page(request, rows, wanted, shapes=shapes.each(shapes.bulk_replay))


class OneBulkReplay(Endpoint):
    """GET /dead-letter-replays/{id}."""

    scopes = {"GET": "tasks:read"}
    contract = {
        "GET": Operation("get_dead_letter_replay", "Read a bulk replay", answers={200: one(answers.BulkReplay)})
    }

    def get(self, request: Request, bulk_id: str) -> Response:
        row = bulk_replays.get(self.principal, identifier(bulk_id, noun="bulk replay"))
        return Response(shapes.bulk_replay(row))


class AbortBulkReplay(Endpoint):
    """POST /dead-letter-replays/{id}/abort: what is under way goes on, the rest stays as it is."""

    scopes = {"POST": "dead_letters:write"}
    contract = {
        "POST": Operation(
            "abort_dead_letter_replay",
            "Replay no more of a bulk replay",
            body=schemas.Abort,
            answers={200: one(answers.BulkReplay)},
            problems=("conflict",),
            also=("tasks:read",),
        )
    }

    def post(self, request: Request, bulk_id: str) -> Response:
        row_id = identifier(bulk_id, noun="bulk replay")
        wanted = body.read(request, schemas.Abort)
        return Response(shapes.bulk_replay(bulk_replays.abort(self.principal, row_id, reason=wanted.reason)))
