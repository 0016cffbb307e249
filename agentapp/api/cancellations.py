"""/tasks/cancel: many tasks at once; /task-cancellations: how far that has come."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from agentapp.api import body, links, pages, query, schemas, shapes
from agentapp.api.answers import tasks as answers
from agentapp.api.contract.headers import LOCATION
from agentapp.api.contract.operation import Operation, one, page
from agentapp.api.endpoint import Endpoint, identifier
from agentapp.services import cancellations


class CancelTasks(Endpoint):
    """POST /tasks/cancel: count the open tasks of a filter, or begin to cancel them."""

    scopes = {"POST": "tasks:write"}
    contract = {
        "POST": Operation(
            "cancel_tasks",
            "Count or cancel the open tasks of a filter",
            body=schemas.CancelAll,
            answers={
                200: one(answers.Cancellable, "Of a dry run: how many there are."),
                202: one(answers.BulkCancellation, "The bulk cancellation.", LOCATION),
            },
            problems=("conflict",),
            also=("tasks:read",),
        )
    }

    def post(self, request: Request) -> Response:
        wanted = body.read(request, schemas.CancelAll)
        described = wanted.filter.model_dump()
        if wanted.dry_run:
            return Response({"dry_run": True, **pages.total(cancellations.matching(self.principal, described))})
        row = cancellations.start(self.principal, described, reason=wanted.reason)
        headers = {"Location": links.to(f"/task-cancellations/{row.pk}")}
        return Response(shapes.bulk_cancellation(row), status=202, headers=headers)


class BulkCancellations(Endpoint):
    """GET /task-cancellations, newest first."""

    scopes = {"GET": "tasks:read"}
    contract = {
        "GET": Operation(
            "list_task_cancellations",
            "List bulk cancellations, newest first",
            query=query.Page,
            answers={200: page(answers.BulkCancellation)},
        )
    }

    def get(self, request: Request) -> Response:
        wanted = query.read(request, query.Page)
        shape = shapes.each(shapes.bulk_cancellation)
        return pages.page(request, cancellations.listing(self.principal), wanted, shapes=shape)


class OneBulkCancellation(Endpoint):
    """GET /task-cancellations/{id}."""

    scopes = {"GET": "tasks:read"}
    contract = {
        "GET": Operation(
            "get_task_cancellation", "Read a bulk cancellation", answers={200: one(answers.BulkCancellation)}
        )
    }

    def get(self, request: Request, cancellation_id: str) -> Response:
        row = cancellations.get(self.principal, identifier(cancellation_id, noun="bulk cancellation"))
        return Response(shapes.bulk_cancellation(row))


class AbortBulkCancellation(Endpoint):
    """POST /task-cancellations/{id}/abort: those that still wait are left as they are."""

    scopes = {"POST": "tasks:write"}
    contract = {
        "POST": Operation(
            "abort_task_cancellation",
            "Cancel no more tasks of a bulk cancellation",
            body=schemas.Abort,
            answers={200: one(answers.BulkCancellation)},
            problems=("conflict",),
            also=("tasks:read",),
        )
    }

    def post(self, request: Request, cancellation_id: str) -> Response:
        row_id = identifier(cancellation_id, noun="bulk cancellation")
        wanted = body.read(request, schemas.Abort)
        return Response(shapes.bulk_cancellation(cancellations.abort(self.principal, row_id, reason=wanted.reason)))
