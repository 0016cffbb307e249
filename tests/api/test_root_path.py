"""Below a path of a host every link carries the prefix, whether the proxy takes it off or leaves it on."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from agentapp.models import Tenant
from agentapp.policies.permissions import API_SCOPES, OPERATOR_SCOPES
from agentapp.services import api_keys
from tests.api.live import Web, environment, serving

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = "/agents/eu"
BODY = {"kind": "probe", "input": {}}


@pytest.fixture(params=["AGENTAPP_ROOT_PATH", "UVICORN_ROOT_PATH"])
def web(request: pytest.FixtureRequest) -> Iterator[Web]:
    """A web process that is told of its prefix by our setting, or by the server's own option."""
    with serving(environment() | {request.param: ROOT}) as running:
        yield running


@pytest.fixture
def key(tenant: Tenant) -> str:
    scopes = [*API_SCOPES, *OPERATOR_SCOPES]
    return f"Bearer {api_keys.create(tenant=tenant, name='root path', scopes=scopes)[1]}"


def page(web: Web, path: str) -> tuple[int, str, str]:
    connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=20)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.headers.get("Location", ""), answer.read().decode(errors="replace")
    finally:
        connection.close()


def test_links_of_the_api_carry_the_prefix(web: Web, key: str) -> None:
    for scope in ("global", "tenant"):
        body = {"scope": scope, "pattern": "*", "concurrency": 5}
        status, headers, made = web.ask("POST", "/gates", body, Authorization=key)
        assert status == 201, made
        assert headers["Location"] == f"{ROOT}/gates/{made['id']}"

    _, _, listed = web.ask("GET", "/gates?limit=1", Authorization=key)
    assert listed["next"].startswith(f"{ROOT}/gates?")
    _, _, nothing = web.ask("GET", "/tasks/none", Authorization=key)
    assert (nothing["type"], nothing["instance"]) == (f"{ROOT}/problems/not-found", f"{ROOT}/tasks/none")


def test_links_of_pages_carry_the_prefix_and_lead_somewhere(web: Web) -> None:
    status, location, _ = page(web, "/admin/")
    assert (status, location) == (302, f"{ROOT}/admin/login/?next={ROOT}/admin/")

    for path in ("/", "/admin/login/"):
        status, _, content = page(web, path)
        links = [link for link in re.findall(r'(?:href|src|action)="(/[^"]*)"', content) if not link.startswith("//")]
        assert status == 200
        assert any("/static/" in link for link in links)
        assert [link for link in links if not link.startswith(f"{ROOT}/")] == []
        # As through a proxy that takes the prefix off.
        files = [link.removeprefix(ROOT) for link in links if "/static/" in link]
        assert [path for path in files if page(web, path)[0] != 200] == []


def test_a_proxy_may_leave_the_prefix_on(key: str) -> None:
    with serving(environment() | {"AGENTAPP_ROOT_PATH": ROOT}) as web:
        for path in ("/healthz", f"{ROOT}/healthz", f"{ROOT}/readyz"):
            assert web.ask("GET", path)[0] == 200
        _, _, listed = web.ask("GET", f"{ROOT}/tasks/none", Authorization=key)

    assert urlsplit(listed["instance"]).path == f"{ROOT}/tasks/none"
