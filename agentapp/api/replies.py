"""/tasks/{id}/replies: what customers answered to what a task has sent."""

from __future__ import annotations

from typing import Annotated

from rest_framework.request import Request
from rest_framework.response import Response
from typing_extensions import TypedDict

from agentapp.api import body, pages, query, schemas, shapes
from agentapp.api.answers.values import Id, Moment, like
from agentapp.api.contract.operation import Operation, one, page
from agentapp.api.endpoint import Endpoint, identifier
from agentapp.models import Reply as Row
from agentapp.services import replies


class Reply(TypedDict):
    """What a customer answered."""

    id: Id
    task: Id
    message_id: str
    sender: str
    subject: str
    text: str
    told_by: str
    created_at: Moment


class NewReply(schemas.Body):
    """POST /tasks/{id}/replies: a mail that has arrived."""

    model_config = like(
        {"message_id": "<1@customer.example.org>", "sender": "reader@example.org", "text": "Thank you, it works."}
    )

    message_id: Annotated[str, schemas.shown(minLength=1, maxLength=replies.MOST_OF_A_LINE)]
    sender: Annotated[str, schemas.shown(minLength=1, maxLength=replies.MOST_OF_A_LINE)]
    text: Annotated[str, schemas.shown(minLength=1, maxLength=replies.MOST_CHARACTERS, pattern=r"\S")]
    subject: Annotated[str, schemas.shown(maxLength=replies.MOST_OF_A_LINE)] = ""


class TaskReplies(Endpoint):
    """POST /tasks/{id}/replies, GET /tasks/{id}/replies."""

    scopes = {"GET": "tasks:read", "POST": "tasks:write"}
    contract = {
        "GET": Operation(
            "list_task_replies",
            "List what customers answered to a task, oldest first",
            query=query.Page,
            answers={200: page(Reply)},
        ),
        "POST": Operation(
            "record_reply",
            "Tell of a reply to what a task has sent",
            body=NewReply,
            answers={
                200: one(Reply, "It was known by its `message_id`."),
                201: one(Reply, "It is kept."),
            },
            description="For the service that receives your mail. It changes no task: a `scheduled_check` reads it.",
            problems=("conflict",),
            also=("tasks:read",),
        ),
    }

    def get(self, request: Request, task_id: str) -> Response:
        wanted = query.read(request, query.Page)
        rows = replies.listing(self.principal, identifier(task_id, noun="task"))
        return pages.page(request, rows, wanted, shapes=shapes.each(_shape), order=pages.OLDEST_FIRST)

    def post(self, request: Request, task_id: str) -> Response:
        task = identifier(task_id, noun="task")
        wanted = body.read(request, NewReply)
        told = replies.record(self.principal, task, **wanted.model_dump())
        return Response(_shape(told.reply), status=201 if told.is_new else 200)


def _shape(row: Row) -> Reply:
    return {
        "id": str(row.pk),
        "task": str(row.workflow_id),
        "message_id": row.message_id,
        "sender": row.sender,
        "subject": row.subject,
        "text": row.text,
        "told_by": row.actor,
        "created_at": shapes.time(row.created_at),
    }
