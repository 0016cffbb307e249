"""Bodies packed with gzip: unpacked within the limit, refused when they are not whole; sizes are those of UTF-8."""

from __future__ import annotations

import gzip
import json
import os
import zlib
from typing import Any

import pytest
from pytest_django import Settings

from agentapp.api import packing
from agentapp.api.problems import Problem
from agentapp.models import Workflow
from tests.api.conftest import QUESTION, Api, problem_of

pytestmark = pytest.mark.django_db

BODY = json.dumps({"kind": "probe_loop", "input": {"text": "hello " * 100}}).encode()


def send(api: Api, body: bytes, encoding: str = "gzip") -> Any:
    return api.post("/tasks", body, **{"Content-Encoding": encoding})


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip", "identity, gzip"])
def test_a_packed_body_is_read(api: Api, encoding: str) -> None:
    assert send(api, gzip.compress(BODY), encoding).status_code == 202
    # Two files, one behind the other, are one.
    assert send(api, gzip.compress(BODY[:30]) + gzip.compress(BODY[30:]), encoding).status_code == 202
    assert {row.input["text"] for row in Workflow.objects.all()} == {"hello " * 100}


@pytest.mark.parametrize("cut", [1, 9, 12, 40])
def test_a_packed_body_without_its_end_is_a_400(api: Api, cut: int) -> None:
    packed = gzip.compress(BODY)
    assert "Its end is missing" in problem_of(send(api, packed[:-cut]), 400)["detail"]
    assert not Workflow.objects.exists()


@pytest.mark.parametrize(
    "body", [BODY, b"\x1f\x8b" + b"\x00" * 30, zlib.compress(BODY), gzip.compress(BODY)[:-8] + b"\x00" * 8,
             gzip.compress(BODY) + b"surplus"],
    ids=["plain", "no gzip", "zlib", "wrong sum", "surplus"],
)  # fmt: skip
def test_what_is_no_gzip_or_was_damaged_is_a_400(api: Api, body: bytes) -> None:
    problem = problem_of(send(api, body), 400)
    assert (problem["type"], "unpacked" in problem["detail"]) == ("/problems/bad-request", True)


@pytest.mark.parametrize("encoding", ["br", "deflate", "zstd", "gzip, gzip", "gzip, br"])
def test_another_encoding_is_a_415_that_names_gzip(api: Api, encoding: str) -> None:
    for body in (BODY, gzip.compress(BODY)):
        response = send(api, body, encoding)
        assert "Content-Encoding: gzip" in problem_of(response, 415)["detail"]
        assert response.headers["Accept-Encoding"] == "gzip"


def test_the_limit_is_that_of_what_was_unpacked(api: Api, settings: Settings) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = len(BODY)
    assert send(api, gzip.compress(BODY)).status_code == 202
    assert problem_of(send(api, gzip.compress(BODY + b" ")), 413)["type"] == "/problems/body-too-large"
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = len(gzip.compress(BODY)) - 1
    problem_of(send(api, gzip.compress(BODY)), 413)


def test_no_more_is_unpacked_than_may_be_sent() -> None:
    bomb = gzip.compress(b"\x00" * 50_000_000)
    assert len(packing.unpack(bomb, most_bytes=1_000)) == 1_000
    many = gzip.compress(b"") * 10_000 + gzip.compress(b"x" * 2_000)
    assert len(packing.unpack(many, most_bytes=1_000)) == 1_000
    with pytest.raises(Problem):
        packing.unpack(os.urandom(1_000), most_bytes=1_000)


def test_the_size_of_an_input_is_counted_as_it_was_sent(api: Api, settings: Settings) -> None:
    text = "如何退款" * 100
    size = len(json.dumps({"text": text}, ensure_ascii=False, separators=(",", ":")).encode())
    assert size < len(json.dumps({"text": text}))
    settings.AGENTAPP_MAX_INPUT_BYTES = size

    assert api.post("/tasks", {"kind": "probe_loop", "input": {"text": text}}).status_code == 202
    problem = problem_of(api.post("/tasks", {"kind": "probe_loop", "input": {"text": text + "!"}}), 422)
    assert str(size) in problem["errors"][0]["message"]


def test_all_that_is_wrong_with_a_body_is_said_at_once(api: Api) -> None:
    """What cannot be stored, what the schema refuses, and what only the service knows."""
    body = {
        "kind": "no_such_kind", "priority": "soon", "deadline_s": 0, "run_at": "now", "colour": "red",
        "labels": {"team": 5, "city": "a\x00b"}, "input": {"text": "half: \ud83d", "deep": {"a": "\x00"}},
    }  # fmt: skip
    problem = problem_of(api.post("/tasks", body), 422)
    fields = [error["field"] for error in problem["errors"]]
    assert set(fields) == {
        "kind", "priority", "deadline_s", "run_at", "colour", "labels.team", "labels.city", "input.text",
        "input.deep.a",
    }  # fmt: skip
    assert len(fields) == len(set(fields))


def test_all_that_a_service_refuses_is_said_at_once(api: Api) -> None:
    body = {"kind": "support_reply", "input": {"body": 7, "colour": "red"}, "priority": "soon", "deadline_s": 1e9}
    problem = problem_of(api.post("/tasks", body), 422)
    assert {error["field"] for error in problem["errors"]} == {
        "input.subject", "input.body", "input.customer_email", "input.colour", "priority", "deadline_s",
    }  # fmt: skip
    assert not Workflow.objects.exists()


def test_every_label_that_is_wrong_is_named(api: Api) -> None:
    problem = problem_of(api.submit(labels={"a": "x" * 101, "b": "y" * 101, "c": "fine"}), 422)
    assert {error["field"] for error in problem["errors"]} == {"labels.a", "labels.b"}
    assert api.submit(input=QUESTION).status_code == 202
