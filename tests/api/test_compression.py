"""JSON of some size is sent packed to who takes gzip; pages, small answers and artifacts never are."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from django.test import Client

from tests.api.conftest import Api

GZIP = {"Accept-Encoding": "gzip, deflate, br"}


def get(path: str, **headers: str) -> Any:
    return Client().get(path, headers=headers)


def test_a_large_answer_is_packed() -> None:
    plain, packed = get("/problems"), get("/problems", **GZIP)
    assert packed.headers["Content-Encoding"] == "gzip"
    assert json.loads(gzip.decompress(packed.content)) == plain.json()
    assert int(packed.headers["Content-Length"]) == len(packed.content) < len(plain.content) / 2
    assert "Accept-Encoding" in packed.headers["Vary"] and "Accept-Encoding" in plain.headers["Vary"]
    assert "Content-Encoding" not in plain.headers


@pytest.mark.parametrize("header", ["identity", "br", "gzip;q=0", "gzip; q=0.0", "*;q=0"])
def test_who_does_not_take_gzip_gets_none(header: str) -> None:
    assert "Content-Encoding" not in get("/problems", **{"Accept-Encoding": header}).headers


@pytest.mark.parametrize("header", ["gzip;q=0.5", "*", "GZIP"])
def test_who_takes_it_gets_it(header: str) -> None:
    assert get("/problems", **{"Accept-Encoding": header}).headers["Content-Encoding"] == "gzip"


def test_small_answers_and_those_without_content_are_left_alone() -> None:
    for path in ("/healthz", "/problems/not-found", "/nowhere"):
        assert "Content-Encoding" not in get(path, **GZIP).headers


@pytest.mark.django_db
def test_pages_and_artifacts_are_left_alone(api: Api, admin_client: Client) -> None:
    for path in ("/", "/admin/", "/admin/login/"):
        response = admin_client.get(path, headers=GZIP, follow=True)
        assert len(response.content) > 1_000
        assert "Content-Encoding" not in response.headers
