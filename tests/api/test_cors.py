"""Pages of other origins: let in by name, in a real browser, with a key and never with a session."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from playwright.sync_api import Page

from agentapp.local import ports
from agentapp.models import Tenant, Workflow
from agentapp.policies.permissions import API_SCOPES
from agentapp.services import api_keys
from config import env
from tests.api.live import Web, environment, serving
from tests.browser import browser as browser
from tests.browser import page as page

pytestmark = pytest.mark.django_db(transaction=True)

ASK = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
CALL = """async ({url, method, body, token}) => {
  try {
    const answer = await fetch(url, {method, body, headers: {
      "Authorization": `Bearer ${token}`, "Content-Type": "application/json", "Idempotency-Key": "one"}})
    const headers = ["Location", "RateLimit", "Retry-After", "Allow"].map(name => answer.headers.get(name))
    return {status: answer.status, headers, text: await answer.text()}
  } catch (error) { return {refused: String(error)} }
}"""


class Blank(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<title>Another origin</title>")

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[str]:
    """A page of another origin."""
    server = ThreadingHTTPServer((ports.HOST, 0), Blank)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://{ports.HOST}:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def web(django_db_setup: None, elsewhere: str) -> Iterator[Web]:
    with serving(environment() | {"AGENTAPP_DB_POOL_MAX": "2", "AGENTAPP_CORS_ORIGINS": elsewhere}) as running:
        yield running


@pytest.fixture
def token(tenant: Tenant) -> str:
    return api_keys.create(tenant=tenant, name="page", scopes=list(API_SCOPES))[1]


def call(page: Page, url: str, token: str, method: str = "GET", body: str | None = None) -> Any:
    return page.evaluate(CALL, {"url": url, "method": method, "body": body, "token": token})


def test_a_page_that_is_named_calls_the_api_and_reads_headers_and_refusals(
    web: Web, elsewhere: str, page: Page, token: str
) -> None:
    page.goto(elsewhere)

    made = call(page, f"{web.url}/tasks", token, "POST", '{"kind": "support_reply", "input": {"subject": "a", '
                '"body": "b", "customer_email": "a@b.test"}}')  # fmt: skip
    assert made["status"] == 202, made
    assert made["headers"][0] == f"/tasks/{Workflow.objects.get().pk}"
    assert "waiting-tasks" in made["headers"][1]
    # Answered by Django, before Django, and for no key.
    assert call(page, f"{web.url}/tasks", token, "PATCH", "{}")["status"] == 405
    assert call(page, f"{web.url}/nowhere", token)["status"] == 404
    assert call(page, f"{web.url}/tasks", token, "POST", "x" * 1_100_000)["status"] == 413
    assert call(page, f"{web.url}/tasks", "nonsense")["status"] == 401


def test_a_page_that_is_not_named_reads_nothing(web: Web, elsewhere: str, page: Page, token: str) -> None:
    # Another name of the same host is another origin.
    page.goto(elsewhere.replace(ports.HOST, "localhost"))
    assert "refused" in call(page, f"{web.url}/tasks", token)
    assert "refused" in call(page, f"{web.url}/tasks", token, "POST", "{}")


def test_only_what_is_named_is_let_in(web: Web, elsewhere: str) -> None:
    status, headers, _ = ask(web, "OPTIONS", "/tasks", Origin=elsewhere, **ASK)
    assert (status, headers["Access-Control-Allow-Origin"]) == (204, elsewhere)
    assert "PATCH" in headers["Access-Control-Allow-Methods"] and "Authorization" in headers[
        "Access-Control-Allow-Headers"]  # fmt: skip
    assert headers["Access-Control-Allow-Credentials"] is None
    for origin in ("null", f"{elsewhere}.evil.test", elsewhere.replace("http:", "https:"), "http://x"):
        status, headers, _ = ask(web, "OPTIONS", "/tasks", Origin=origin, **ASK)
        assert (status, headers["Access-Control-Allow-Origin"], headers["Vary"]) == (204, None, "Origin")
    for path in ("/admin/login/", "/console/"):
        assert ask(web, "GET", path, Origin=elsewhere)[1]["Access-Control-Allow-Origin"] is None
    headers = ask(web, "GET", "/problems", Origin=elsewhere)[1]
    assert set(headers["Vary"].split(", ")) >= {"Origin", "Accept-Encoding"} and len(headers.get_all("Vary")) == 1


def ask(web: Web, method: str, path: str, **headers: str) -> Any:
    return web.raw(method, path, headers)


@pytest.mark.parametrize("origins", [None, "*"])
def test_by_default_nobody_is_let_in_and_a_star_lets_in_all(django_db_setup: None, origins: str | None) -> None:
    with serving(environment() | ({"AGENTAPP_CORS_ORIGINS": origins} if origins else {})) as web:
        for method, extra in (("OPTIONS", ASK), ("GET", {})):
            status, headers, _ = ask(web, method, "/healthz", Origin="https://any.test", **extra)
            assert (status, headers["Access-Control-Allow-Origin"]) == (204 if extra else 200, origins)
            assert "Origin" not in (headers["Vary"] or "")


@pytest.mark.parametrize(
    ("value", "origins"),
    [
        ("https://App.example.org, http://localhost:3000", ["https://app.example.org", "http://localhost:3000"]),
        ("https://a.test:443,http://b.test:80", ["https://a.test", "http://b.test"]),
        ("*", ["*"]),
    ],
)
def test_origins_are_read_as_browsers_write_them(value: str, origins: list[str]) -> None:
    assert env.CORS_ORIGINS.read({"AGENTAPP_CORS_ORIGINS": value}) == origins


@pytest.mark.parametrize(
    "value", ["a.test", "https://a.test/path", "https://*.a.test", "*, https://a.test", "null", ","]
)
def test_what_is_no_origin_stops_the_start(value: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="AGENTAPP_CORS_ORIGINS must be"):
        env.CORS_ORIGINS.read({"AGENTAPP_CORS_ORIGINS": value})
