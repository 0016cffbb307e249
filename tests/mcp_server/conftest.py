"""A web process, and assistants that ask it through the official client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar, cast

import httpx2
import pytest
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

from agentapp.client.connections import LIMITS
from agentapp.models import ApiKey, Tenant
from agentapp.policies.permissions import API_SCOPES
from agentapp.services import api_keys
from tests.api.live import Web, environment, serving

T = TypeVar("T")
POOLED = {"AGENTAPP_DB_POOL_MAX": "4"}
ANSWER_S = 90.0


@pytest.fixture(scope="module")
def web(django_db_setup: None) -> Iterator[Web]:
    """A web process on the database and the broker of the tests."""
    with serving(environment() | POOLED) as running:
        yield running


@pytest.fixture
def make_key(tenant: Tenant, other_tenant: Tenant) -> Callable[..., tuple[ApiKey, str]]:
    def make(*scopes: str, of: Tenant = tenant) -> tuple[ApiKey, str]:
        return api_keys.create(tenant=of, name="assistant", scopes=list(scopes or API_SCOPES))

    return make


class Assistant:
    """One key at one address. `call` is one call of a tool over a connection of its own, `with_client` whatever is
    done with a client."""

    def __init__(self, url: str, token: str, *, mode: Any = "auto") -> None:
        self.url = url
        self.token = token
        self.mode = mode

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=ANSWER_S, limits=LIMITS) as http,
            Client(streamable_http_client(self.url, http_client=http), mode=self.mode) as client,
        ):
            yield client

    def with_client(self, ask: Callable[[Client], Awaitable[T]]) -> T:
        async def run() -> tuple[T | None, MCPError | None]:
            async with self.client() as client:
                try:
                    return await ask(client), None
                except MCPError as error:
                    return None, error

        answer, error = asyncio.run(run())
        if error is not None:
            raise error
        return cast("T", answer)

    def tools(self) -> dict[str, Any]:
        """Return the tools that it is told of, by name."""

        async def ask(client: Client) -> dict[str, Any]:
            return {tool.name: tool for tool in (await client.list_tools()).tools}

        return self.with_client(ask)

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Return what a tool answers, after checking that it went well."""
        found: Any = self.with_client(lambda client: client.call_tool(tool, arguments))
        assert not found.is_error, found.content
        return dict(found.structured_content)

    def refused(self, tool: str, **arguments: Any) -> str:
        """Return the words of the error that a tool answers."""
        found: Any = self.with_client(lambda client: client.call_tool(tool, arguments))
        assert found.is_error, found.structured_content
        assert found.structured_content["detail"] in found.content[0].text
        return str(found.content[0].text)


@pytest.fixture
def assistant(web: Web, make_key: Callable[..., tuple[ApiKey, str]]) -> Callable[..., Assistant]:
    """Return a maker of assistants: assistant("tasks:read"); without scopes its key holds all."""

    def make(*scopes: str, **more: Any) -> Assistant:
        return Assistant(f"{web.url}/mcp", make_key(*scopes, **more)[1])

    return make
