"""Errors outside of endpoints: programs get problem documents, browsers get pages."""

from __future__ import annotations

import logging

import pytest
from django.test import Client

from tests.api import broken_urls
from tests.api.conftest import problem_of

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def visitor() -> Client:
    return Client(raise_request_exception=False)


@pytest.mark.parametrize("path", ["/nowhere", "/tasks/a/b/c", "/jobs"])
def test_an_address_that_is_none_is_a_404(visitor: Client, path: str) -> None:
    assert problem_of(visitor.get(path), 404)["instance"] == path


@pytest.mark.parametrize("path", ["/tasks/a/b/c", "/limits/model/a%0Ab/resume"])
def test_a_post_to_an_address_that_is_none_is_a_404_and_no_page_about_cookies(path: str) -> None:
    strict = Client(enforce_csrf_checks=True)
    problem_of(strict.post(path, "{}", content_type="application/json"), 404)


def test_a_browser_that_is_lost_gets_a_page(visitor: Client) -> None:
    response = visitor.get("/nowhere", headers=BROWSER)
    assert response.status_code == 404
    assert response.headers["Content-Type"].startswith("text/html")


def test_a_host_that_is_not_ours_is_a_400(visitor: Client) -> None:
    response = visitor.get("/tasks", headers={"Host": "elsewhere.example.org"})
    assert "DJANGO_ALLOWED_HOSTS" in problem_of(response, 400)["detail"]
    assert visitor.get("/tasks", headers=BROWSER | {"Host": "elsewhere.example.org"}).status_code == 400


@pytest.mark.urls("tests.api.broken_urls")
@pytest.mark.parametrize("path", ["/endpoint", "/view"])
def test_a_fault_of_ours_is_a_500_that_tells_nothing_and_is_logged(
    visitor: Client, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    response = visitor.get(path)
    problem_of(response, 500)
    assert broken_urls.SECRET.encode() not in response.content
    assert [record for record in caplog.records if record.exc_info and record.levelno == logging.ERROR]


@pytest.mark.urls("tests.api.broken_urls")
def test_a_fault_in_the_admin_is_a_page(visitor: Client) -> None:
    response = visitor.get("/admin/view")
    assert response.status_code == 500
    assert response.headers["Content-Type"].startswith("text/html")
