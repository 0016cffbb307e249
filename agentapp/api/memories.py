"""/memories: what is remembered of customers."""

from __future__ import annotations

from typing import Annotated

from rest_framework.request import Request
from rest_framework.response import Response

from agentapp.api import body, pages, query, shapes
from agentapp.api.answers import memories as answers
from agentapp.api.answers.values import like
from agentapp.api.contract.operation import Operation, nothing, one, page
from agentapp.api.endpoint import Endpoint, identifier
from agentapp.api.schemas import Body, shown
from agentapp.models import Memory
from agentapp.policies import facts
from agentapp.services import memories

_About = Annotated[str, shown(minLength=1, maxLength=facts.LONGEST_ABOUT)]
_Text = Annotated[str, shown(minLength=1, maxLength=facts.LONGEST_TEXT)]


class NewMemory(Body):
    """POST /memories."""

    model_config = like({"about": "ada@example.com", "text": "Prefers to be called in the morning."})

    about: _About
    text: _Text


class CorrectMemory(Body):
    """PATCH /memories/{id}."""

    model_config = like({"text": "Prefers to be called in the afternoon."})

    text: _Text


class EraseMemories(Body):
    """POST /memories/erase."""

    model_config = like({"about": "ada@example.com"})

    about: _About


def shape(row: Memory) -> answers.Memory:
    return {
        "id": str(row.pk),
        "about": row.about,
        "fact": str(row.fact_id),
        "text": row.text,
        "untrusted": row.is_untrusted,
        "written_by": row.written_by,
        "task": str(row.task_id) if row.task_id else None,
        "valid_from": shapes.time(row.valid_from),
        "valid_until": shapes.time(row.valid_until) if row.valid_until else None,
    }


class Memories(Endpoint):
    """GET /memories, POST /memories."""

    scopes = {"GET": memories.READ, "POST": memories.WRITE}
    contract = {
        "GET": Operation(
            "list_memories", "List what is remembered, newest first", query=query.Memories,
            answers={200: page(answers.Memory)},
        ),
        "POST": Operation(
            "write_memory", "Remember a fact about a customer", body=NewMemory,
            answers={
                200: one(answers.Memory, "It is remembered already."), 201: one(answers.Memory, "It is new."),
            },
            problems=("provider-refused",),
        ),
    }  # fmt: skip

    def get(self, request: Request) -> Response:
        wanted = query.read(request, query.Memories)
        rows = memories.listing(self.principal, about=wanted.about, with_superseded=wanted.superseded)
        return pages.page(request, rows, wanted, shapes=shapes.each(shape))

    def post(self, request: Request) -> Response:
        """Differences of case, of spaces and of a full stop at the end make no new fact."""
        wanted = body.read(request, NewMemory)
        memory, is_new = memories.write(self.principal, about=wanted.about, text=wanted.text)
        return Response(shape(memory), status=201 if is_new else 200)


class EraseAbout(Endpoint):
    """POST /memories/erase."""

    scopes = {"POST": memories.WRITE}
    contract = {
        "POST": Operation(
            "erase_memories", "Erase all that is remembered of a customer", body=EraseMemories,
            answers={200: one(answers.Erased)}, problems=("conflict",),
        )
    }  # fmt: skip

    def post(self, request: Request) -> Response:
        """What tasks have read before stays with them until they are deleted. 409 while a legal hold keeps it."""
        wanted = body.read(request, EraseMemories)
        return Response({"facts": memories.erase_about(self.principal, about=wanted.about)})


class OneMemory(Endpoint):
    """GET, PATCH and DELETE /memories/{id}."""

    scopes = {"GET": memories.READ, "PATCH": memories.WRITE, "DELETE": memories.WRITE}
    contract = {
        "GET": Operation("get_memory", "Read a version of a fact", answers={200: one(answers.Memory)}),
        "PATCH": Operation(
            "correct_memory", "Correct a fact", body=CorrectMemory, answers={200: one(answers.Memory)},
            problems=("provider-refused", "conflict"),
        ),
        "DELETE": Operation(
            "erase_memory", "Erase a fact", answers={204: nothing("It is gone, with all its versions.")},
            problems=("conflict",),
        ),
    }  # fmt: skip

    def get(self, request: Request, memory_id: str) -> Response:
        return Response(shape(memories.get(self.principal, identifier(memory_id, noun="memory"))))

    def patch(self, request: Request, memory_id: str) -> Response:
        """The answer is a new version, with an id of its own; the version that is corrected stays readable."""
        memory = identifier(memory_id, noun="memory")
        wanted = body.read(request, CorrectMemory)
        return Response(shape(memories.correct(self.principal, memory, text=wanted.text)))

    def delete(self, request: Request, memory_id: str) -> Response:
        """Tasks that have read the fact keep what they have read until they are deleted. 409 while a legal hold keeps
        it."""
        memories.erase(self.principal, identifier(memory_id, noun="memory"))
        return Response(status=204)
