"""/tasks/cancel: many tasks at once."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from agentapp.api import body, pages, schemas
from agentapp.api.answers import tasks as answers
from agentapp.api.contract.operation import Operation, one
from agentapp.api.endpoint import Endpoint
from agentapp.services import cancellations


class CancelTasks(Endpoint):
    """POST /tasks/cancel: count the tasks of a filter, or cancel some of them and say how many are left."""

    scopes = {"POST": "tasks:write"}
    contract = {
        "POST": Operation(
            "cancel_tasks",
            "Cancel the tasks of a filter, some at a time",
            body=schemas.CancelAll,
            answers={200: one(answers.Cancellations)},
            also=("tasks:read",),
        )
    }

    def post(self, request: Request) -> Response:
        wanted = body.read(request, schemas.CancelAll)
        rows = cancellations.matching(self.principal, **wanted.filter.model_dump())
        if wanted.dry_run:
            return Response({"dry_run": True, "cancelled": [], "skipped": 0} | _left(pages.total(rows)))
        outcome = cancellations.cancel(self.principal, rows, reason=wanted.reason, most=wanted.limit)
        cancelled = [str(task) for task in outcome.cancelled]
        # Counted afterwards: what has come or ended meanwhile is in it.
        left = _left(pages.total(rows.all()))
        return Response({"dry_run": False, "cancelled": cancelled, "skipped": outcome.skipped} | left)


def _left(counted: pages.Shape) -> pages.Shape:
    return {"left": counted["total"], "left_is": counted["total_is"]}
