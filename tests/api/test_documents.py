"""Loading and listing documents."""

from __future__ import annotations

from typing import Any

import pytest

from agentapp.models import Chunk, Document
from tests.api.conftest import Api, problem_of

pytestmark = pytest.mark.django_db

HOURS = {"source": "hours.md", "title": "Opening hours", "text": "# Hours\n\nWe are open from nine to five."}


def test_a_document_is_new_once_and_then_replaced(api: Api) -> None:
    first = api.post("/documents", HOURS)
    assert first.status_code == 201
    assert set(first.json()) == {"id", "source", "title", "sha256", "size", "created_at", "updated_at"}
    assert Chunk.objects.count() == 1

    assert api.post("/documents", HOURS | {"text": "We are closed today."}).status_code == 200
    assert (Document.objects.count(), Chunk.objects.get().text) == (1, "We are closed today.")
    (listed,) = api.get("/documents").json()["results"]
    assert (listed["source"], listed["title"]) == ("hours.md", "Opening hours")


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
