"""Files as a form and as a body of their own: stored, answered with 202, and read about until they are ready."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from pytest_django import Settings

from agentapp.models import Chunk, Document
from tests import harness
from tests.api.conftest import Api, problem_of

pytestmark = pytest.mark.django_db

PAGE = b"<!doctype html><title>Opening hours</title><h1>Hours</h1><p>We are open from nine to five.</p>"


@pytest.fixture(autouse=True)
def no_embeddings(settings: Settings) -> None:
    settings.AGENTAPP_EMBEDDING_URL = settings.AGENTAPP_EMBEDDING_MODEL = ""


def form(api: Api, data: bytes = PAGE, name: str = "hours.html", **fields: Any) -> Any:
    declared = fields.pop("content_type", "text/html")
    sent = {"file": SimpleUploadedFile(name, data, content_type=declared)} | fields
    return api.client.post("/documents", sent, headers=api.headers)


def raw(
    api: Api, query: str = "?source=hours.html", data: bytes = PAGE, *, declared: str = "text/html",
    headers: dict[str, str] | None = None,
) -> Any:  # fmt: skip
    sent = api.headers | (headers or {})
    return api.client.generic("POST", f"/documents{query}", data, content_type=declared, headers=sent)


def test_a_file_of_a_form_is_taken_in(api: Api) -> None:
    answer = form(api, collection="help")

    assert answer.status_code == 202
    shown = answer.json()
    assert (shown["source"], shown["state"], shown["collection"]) == ("hours.html", "processing", "help")
    assert answer.headers["Location"] == f"/documents/{shown['id']}"
    assert shown["task"] == str(Document.objects.get().task_id)
    harness.drain()

    shown = api.get(answer.headers["Location"]).json()
    assert (shown["state"], shown["error"], shown["title"]) == ("ready", None, "Opening hours")
    assert (shown["media_type"], shown["size"]) == ("text/html", len("# Hours\n\nWe are open from nine to five."))
    assert form(api).status_code == 200
    assert Chunk.objects.get().heading == "Opening hours > Hours"


def test_a_file_that_is_the_body_is_taken_in(api: Api) -> None:
    assert raw(api, "?source=a.html&title=Our+hours&collection=help").status_code == 202
    named = raw(api, "", headers={"Content-Disposition": 'attachment; filename="b.html"'})
    harness.drain()

    assert named.json()["source"] == "b.html"
    found = api.get("/documents", collection="help").json()["results"]
    assert [(row["source"], row["title"], row["state"]) for row in found] == [("a.html", "Our hours", "ready")]


def test_a_body_is_read_in_the_character_set_that_it_declares(api: Api) -> None:
    raw(api, "?source=a.txt", "Grüße".encode("latin-1"), declared="text/plain; charset=latin-1")
    harness.drain()

    assert Chunk.objects.get().text == "Grüße"


@pytest.mark.parametrize(
    ("charset", "said"),
    [
        ("charset=latin-1", ""),
        ("charset*=us-ascii''a%00b", "ab is not known"),
        ("charset=" + "a" * 900, "is not known"),
    ],
)
def test_a_part_of_a_form_is_read_in_the_character_set_that_it_declares(api: Api, charset: str, said: str) -> None:
    declared = f"text/plain; {charset}"
    head = f'--B\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\nContent-Type: {declared}\r\n\r\n'
    body = head.encode() + "Grüße".encode("latin-1") + b"\r\n--B--\r\n"

    answer = api.post("/documents", body, content_type="multipart/form-data; boundary=B")
    assert answer.status_code == 202, answer.content
    harness.drain()

    assert said in (Document.objects.get().error or "")
    assert said or Chunk.objects.get().text == "Grüße"


def test_a_file_that_cannot_be_read_says_why(api: Api) -> None:
    answer = raw(api, "?source=a.pdf", b"%PDF-1.7 and no more", declared="application/pdf")
    harness.drain()

    shown = api.get(f"/documents/{answer.json()['id']}").json()
    assert shown["state"] == "failed" and "damaged" in shown["error"]
    (listed,) = api.get("/documents").json()["results"]
    assert listed == shown


@pytest.mark.parametrize(
    ("query", "data", "declared", "field", "words"),
    [
        ("", PAGE, "text/html", "source", "Name the file"),
        ("?source=a.pdf", PAGE, "application/pdf", "file", "sent as PDF, but its content is HTML"),
        ("?source=a.html", b"  ", "text/html", "file", "empty"),
        ("?source=a.png", b"\x89PNG", "image/png", "file", "not taken"),
        ("?source=a.html&collection=a%2Fb", PAGE, "text/html", "collection", "Name a collection"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_at_once(
    api: Api, query: str, data: bytes, declared: str, field: str, words: str
) -> None:
    problem = problem_of(raw(api, query, data, declared=declared), 422)

    assert [error["field"] for error in problem["errors"]] == [field] and words in problem["detail"]
    assert not Document.objects.exists()


def test_a_form_has_one_file_and_known_fields(api: Api) -> None:
    assert "one file" in problem_of(api.client.post("/documents", {"title": "T"}, headers=api.headers), 422)["detail"]
    assert "no such field" in problem_of(form(api, colour="red"), 422)["detail"]
    for names, of in ((range(2000), str), (range(200), lambda name: SimpleUploadedFile("a", b"a"))):
        many = api.client.post("/documents", {str(name): of(name) for name in names}, headers=api.headers)
        assert "too many fields" in problem_of(many, 400)["detail"]
    broken = api.post("/documents", b"--x", content_type="multipart/form-data")
    assert "form cannot be read" in problem_of(broken, 400)["detail"]


def test_names_stand_in_one_place(api: Api) -> None:
    text = {"source": "a.md", "title": "A", "text": "A."}
    assert "in the body" in problem_of(api.post("/documents?source=b.md", text), 400)["detail"]
    packed = raw(api, headers={"Content-Encoding": "gzip"})
    assert "as it is" in problem_of(packed, 415)["detail"]


def test_a_file_that_is_too_large_is_refused(api: Api, settings: Settings) -> None:
    settings.AGENTAPP_UPLOAD_MAX_BYTES = 50
    problem_of(raw(api), 413)
    problem_of(form(api), 413)
    assert not Document.objects.exists()
