"""Loading and listing documents."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentapp.models import Chunk, Document
from tests.api.conftest import Api, problem_of
from tests.llm.conftest import odd as odd
from tests.llm.conftest import odd_process as odd_process
from tests.llm.odd_server import Json, Odd, OddServer, whole

pytestmark = pytest.mark.django_db

HOURS = {"source": "hours.md", "title": "Opening hours", "text": "# Hours\n\nWe are open from nine to five."}
HOURS_SHOWN = {
    "source": "hours.md", "title": "Opening hours", "collection": "default", "media_type": "", "state": "ready",
    "error": None, "task": None, "size": len(HOURS["text"]),
}  # fmt: skip


def test_a_document_is_new_once_and_then_replaced(api: Api) -> None:
    first = api.post("/documents", HOURS)
    assert first.status_code == 201
    assert first.json() | HOURS_SHOWN == first.json() and len(first.json()) == 12
    assert Chunk.objects.count() == 1

    assert api.post("/documents", HOURS | {"text": "We are closed today."}).status_code == 200
    assert (Document.objects.count(), Chunk.objects.get().text) == (1, "We are closed today.")
    (listed,) = api.get("/documents").json()["results"]
    assert (listed["source"], listed["title"]) == ("hours.md", "Opening hours")


def test_a_byte_order_mark_before_a_heading_is_no_text(api: Api) -> None:
    assert api.post("/documents", HOURS | {"text": "\ufeff" + HOURS["text"]}).status_code == 201
    chunk = Chunk.objects.get()
    assert (chunk.heading, chunk.text) == ("Opening hours > Hours", "We are open from nine to five.")


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"text": ""}, "text"),
        ({"text": "   "}, "text"),
        ({"text": 5}, "text"),
        ({"title": None}, "title"),
        ({"source": "x" * 501}, "source"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_document_that_cannot_be_kept_is_refused(api: Api, fields: dict[str, Any], path: str) -> None:
    problem = problem_of(api.post("/documents", HOURS | fields), 422)
    assert path in [error["field"] for error in problem["errors"]]
    assert Document.objects.count() == 0


def test_all_that_is_wrong_with_a_document_is_said_at_once(api: Api) -> None:
    problem = problem_of(api.post("/documents", {"source": "x" * 501, "title": "", "text": ""}), 422)
    assert [error["field"] for error in problem["errors"]] == ["source", "title", "text"]


@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        (Odd(json.dumps({"data": [{"embedding": [float("nan")]}]}).encode()), 503, "holds nan"),
        (whole({"data": [{"embedding": None}]}), 503, "instead of a list"),
        (whole([]), 503, "a list instead of an object"),
        (Odd(b"<html>asleep</html>"), 503, "web page: asleep"),
        (whole({"detail": "loading"}, status=503, headers={"Retry-After": "9999999"}), 503, "loading"),
        (whole({"error": "no such model"}, status=404), 502, "no such model"),
        (whole({"error": {"message": "Insufficient Balance."}}, status=402), 502, "Insufficient Balance"),
    ],
)
def test_a_document_that_cannot_be_embedded_is_a_clear_problem(
    api: Api, odd: OddServer, answer: Odd, status: int, words: str
) -> None:
    odd.answer = lambda _: answer

    problem = problem_of(api.post("/documents", HOURS), status)

    assert words in problem["detail"] and "not stored" in problem["detail"]
    assert not Document.objects.exists()


def test_a_document_whose_model_cannot_be_asked_as_it_is_configured_is_a_clear_problem(
    api: Api, odd: OddServer, settings: Any
) -> None:
    settings.AGENTAPP_EMBEDDING_KEY = "sk-ö"

    problem = problem_of(api.post("/documents", HOURS), 502)

    assert "not stored" in problem["detail"] and "characters that no HTTP header can carry" in problem["detail"]


def test_a_document_of_many_chunks_is_loaded_where_only_few_texts_are_taken(api: Api, odd: OddServer) -> None:
    def answer(body: Json) -> Odd:
        if len(body["input"]) > 10:
            return whole({"error": {"message": "batch size is invalid"}}, status=400)
        return whole({"data": [{"index": at, "embedding": [1.0, at]} for at in range(len(body["input"]))]})

    odd.answer = answer
    text = "\n\n".join(f"# Part {number}\n\n{'word ' * 200}" for number in range(40))

    assert api.post("/documents", HOURS | {"text": text}).status_code == 201
