"""A web process with streams, and tasks of two tenants to follow."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from agentapp.models import ApiKey, Tenant
from agentapp.policies.permissions import API_SCOPES
from agentapp.services import api_keys
from tests.api.live import Web, environment, serving

POOLED = {"AGENTAPP_DB_POOL_MAX": "4"}


@pytest.fixture(scope="module")
def web(django_db_setup: None) -> Iterator[Web]:
    """A web process on the database and the broker of the tests."""
    with serving(environment() | POOLED) as running:
        yield running


@pytest.fixture
def make_key(tenant: Tenant, other_tenant: Tenant) -> Callable[..., tuple[ApiKey, str]]:
    def make(of: Tenant = tenant, *scopes: str) -> tuple[ApiKey, str]:
        return api_keys.create(tenant=of, name="test", scopes=list(scopes or API_SCOPES))

    return make


@pytest.fixture
def token(make_key: Callable[..., tuple[ApiKey, str]]) -> str:
    return make_key()[1]
