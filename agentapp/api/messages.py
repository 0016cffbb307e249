"""/tasks/{id}/messages: what clients say to a conversation."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from rest_framework.request import Request
from rest_framework.response import Response

from agentapp.api import body, idempotency, links, pages, query, schemas, shapes
from agentapp.api.answers import tasks as answers
from agentapp.api.answers.values import like
from agentapp.api.contract.headers import LOCATION, NAMED, REPLAYED
from agentapp.api.contract.operation import Operation, one, page
from agentapp.api.endpoint import Endpoint, identifier
from agentapp.services import messages


class Say(schemas.Body):
    """POST /tasks/{id}/messages: what is said."""

    model_config = like({"text": "And what if the invoice is older than a year?"})

    text: Annotated[str, schemas.shown(minLength=1, maxLength=messages.MOST_CHARACTERS, pattern=r"\S")]
    untrusted: bool = Field(False, description="others wrote it: what it says is not obeyed, and the run is tainted")


class TaskMessages(Endpoint):
    """POST /tasks/{id}/messages, GET /tasks/{id}/messages."""

    scopes = {"GET": "tasks:read", "POST": "tasks:write"}
    contract = {
        "GET": Operation(
            "list_task_messages",
            "List the messages of a conversation up to this task, oldest first",
            query=query.Page,
            answers={200: page(answers.Message)},
        ),
        "POST": Operation(
            "send_message",
            "Say something to a conversation",
            body=Say,
            answers={
                202: one(
                    answers.Message, "The message is committed. `Location` is the task that reads it.", LOCATION,
                    optional=(REPLAYED,),
                )
            },
            description="While the task runs, its next turn reads the message. A completed task stays as it is: a new "
            "one goes on with its conversation.",
            headers=NAMED,
            problems=("conflict", "too-many-tasks"),
            also=("tasks:read",),
        ),
    }  # fmt: skip

    def get(self, request: Request, task_id: str) -> Response:
        wanted = query.read(request, query.Page)
        rows = messages.listing(self.principal, identifier(task_id, noun="task"))
        return pages.page(request, rows, wanted, shapes=shapes.messages, order=pages.AS_SAID)

    def post(self, request: Request, task_id: str) -> Response:
        task = identifier(task_id, noun="task")
        wanted = body.read(request, Say)
        named = idempotency.named(request, wanted)
        accepted = messages.say(
            self.principal, task, text=wanted.text, is_untrusted=wanted.untrusted, request=named
        )  # fmt: skip
        headers = {"Location": links.to(f"/tasks/{accepted.message.workflow_id}")}
        if accepted.is_repeated:
            headers |= {idempotency.REPLAYED: "true"}
        return Response(shapes.messages([accepted.message])[0], status=202, headers=headers)
