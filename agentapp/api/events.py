"""/tasks/{id}/events: the history of a task in pages, for clients that do not follow a stream."""

from __future__ import annotations

import json
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from agentapp.api import query
from agentapp.api.answers import streams as answers
from agentapp.api.contract.operation import Operation, page
from agentapp.api.endpoint import Endpoint, identifier
from agentapp.lifecycle import events_after
from agentapp.lifecycle.events_after import Place
from agentapp.services import workflows
from agentapp.streams import events


class TaskEvents(Endpoint):
    """GET /tasks/{id}/events, in the order in which they happened."""

    scopes = {"GET": "tasks:read"}
    contract = {
        "GET": Operation(
            "list_task_events",
            "List what has happened to a task, oldest first",
            query=query.Events,
            answers={200: page(answers.PastEvent)},
        )
    }

    def get(self, request: Request, task_id: str) -> Response:
        wanted = query.read(request, query.Events)
        task = workflows.get(self.principal, identifier(task_id, noun="task"))
        place = Place(task.pk, wanted.last_event_id, is_new=False)
        # One more than asked for tells whether there is a next page.
        (found,) = events_after.pages([place], limit=wanted.limit + 1)
        shown = found.rows[: wanted.limit]
        is_more = len(found.rows) > wanted.limit
        following = f"{request.path}?last_event_id={shown[-1]['seq']}&limit={wanted.limit}" if is_more else None
        return Response({"results": [_shape(events.of_history(str(task.pk), row)) for row in shown], "next": following})


def _shape(event: events.Event) -> dict[str, Any]:
    return {"type": event.type, "data": json.loads(event.data)}
