"""A client that speaks like a real one, with keys of two tenants."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from agentapp.models import ApiKey, Tenant
from agentapp.policies.permissions import API_SCOPES, OPERATOR_SCOPES
from tests import unrecorded
from tests.api import documented

QUESTION = {"subject": "Invoices", "body": "Where do I find my invoices?", "customer_email": "reader@example.org"}


class DocumentedClient(Client):
    """Django's client for tests; it fails for each answer that the OpenAPI document does not have."""

    def request(self, **request: Any) -> Any:
        response = super().request(**request)
        documented.check(request["REQUEST_METHOD"], request["PATH_INFO"], response)
        return response


class Api:
    """Requests with a key. Bodies that are no text or bytes go as JSON."""

    def __init__(self, token: str = "", **headers: str) -> None:
        self.client = DocumentedClient(raise_request_exception=False)
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.headers |= headers

    def get(self, path: str, **query: str) -> Any:
        return self.client.get(path, query or None, headers=self.headers)

    def post(self, path: str, body: Any = b"", *, content_type: str = "application/json", **headers: str) -> Any:
        data = body if isinstance(body, str | bytes) else json.dumps(body)
        return self.client.post(path, data, content_type=content_type, headers=self.headers | headers)

    def put(self, path: str, body: Any) -> Any:
        return self.client.put(path, json.dumps(body), content_type="application/json", headers=self.headers)

    def patch(self, path: str, body: Any) -> Any:
        return self.client.patch(path, json.dumps(body), content_type="application/json", headers=self.headers)

    def delete(self, path: str) -> Any:
        return self.client.delete(path, headers=self.headers)

    def submit(self, **fields: Any) -> Any:
        """Submit the standing question; fields replace or add to those of the body."""
        return self.post("/tasks", {"kind": "support_reply", "input": QUESTION} | fields)


@pytest.fixture
def make_key() -> Callable[..., tuple[ApiKey, str]]:
    """Return a maker of keys: make_key(tenant, "tasks:read"); without scopes it holds all."""

    def make(tenant: Tenant, *scopes: str, **values: Any) -> tuple[ApiKey, str]:
        return unrecorded.key(tenant, *(scopes or API_SCOPES), **values)

    return make


@pytest.fixture
def api(tenant: Tenant, other_tenant: Tenant, make_key: Callable[..., tuple[ApiKey, str]]) -> Api:
    """The API as the first tenant sees it, with every scope."""
    return Api(make_key(tenant)[1])


@pytest.fixture
def other_api(other_tenant: Tenant, make_key: Callable[..., tuple[ApiKey, str]]) -> Api:
    """The API as the second tenant sees it, with every scope."""
    return Api(make_key(other_tenant)[1])


@pytest.fixture
def platform(tenant: Tenant, other_tenant: Tenant, make_key: Callable[..., tuple[ApiKey, str]]) -> Api:
    """The API as who runs the platform sees it: with the scopes of the platform and no other."""
    return Api(make_key(tenant, *OPERATOR_SCOPES)[1])


def problem_of(response: Any, status: int) -> dict[str, Any]:
    """Return the problem document of an answer after checking that it is a whole one, and useful."""
    assert response.status_code == status, response.content
    assert response.headers["Content-Type"] == "application/problem+json"
    problem: dict[str, Any] = json.loads(response.content)
    assert problem["status"] == status
    assert problem["type"].startswith("/problems/")
    assert problem["title"]
    assert problem["detail"].rstrip("`)").endswith((".", "?", "!")), problem["detail"]
    for error in problem.get("errors", []):
        assert set(error) == {"field", "message"}
    return problem
