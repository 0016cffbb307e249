"""A real MCP server of the official package, in a thread, with tools that behave as badly as a test wants."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from typing import Any

import mcp_types as types
import pytest
import uvicorn
from django.test import override_settings
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError

from agentapp.models import ServerTool, Tenant, ToolServer
from agentapp.policies.permissions import API_SCOPES, OPERATOR_SCOPES
from agentapp.services import tool_servers
from agentapp.services.principals import Principal
from tests.harness import drain

Json = dict[str, Any]
OPERATOR = Principal(frozenset({*API_SCOPES, *OPERATOR_SCOPES}), None)
ANY = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
HUGE = "x" * 2_000_000


def described(name: str, description: str = "Says what it is told.", schema: Json | None = None) -> Json:
    return {"name": name, "description": description, "inputSchema": schema or ANY}


class OddServer:
    """`tools` is what it lists, `calls` what it was asked to run: name, arguments and the header of the key. `pages` is
    what it answers to single texts."""

    def __init__(self, *, json_response: bool = False, page: int = 1_000) -> None:
        self.tools: list[Json] = [described(name) for name in ("echo", "fail", "crash", "huge", "hang", "repeat_key")]
        self.calls: list[tuple[str, Json, str]] = []
        self.pages: dict[str, str] = {}
        self.page = page
        self._json_response = json_response
        self._released: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._running: uvicorn.Server | None = None

    @property
    def url(self) -> str:
        assert self._running is not None
        return f"http://127.0.0.1:{self._running.servers[0].sockets[0].getsockname()[1]}/mcp"

    @property
    def called(self) -> list[str]:
        return [name for name, _, _ in self.calls]

    @contextmanager
    def serving(self) -> Iterator[OddServer]:
        server: Server[Any] = Server("odd", on_list_tools=self._list, on_call_tool=self._call)
        app = server.streamable_http_app(json_response=self._json_response)
        config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical", timeout_graceful_shutdown=1)
        self._running = uvicorn.Server(config)
        thread = threading.Thread(target=self._running.run, daemon=True)
        thread.start()
        until = threading.Event()
        while not (self._running.started and self._running.servers) and thread.is_alive():
            until.wait(0.01)
        try:
            yield self
        finally:
            if self._loop and self._released:
                self._loop.call_soon_threadsafe(self._released.set)
            self._running.should_exit = True
            thread.join(30)

    async def _list(self, context: ServerRequestContext[Any, Any], params: Any) -> types.ListToolsResult:
        start = int(params.cursor) if params and params.cursor else 0
        more = str(start + self.page) if start + self.page < len(self.tools) else None
        shown = self.tools[start : start + self.page]
        return types.ListToolsResult(tools=[types.Tool.model_validate(tool) for tool in shown], next_cursor=more)

    async def _call(self, context: ServerRequestContext[Any, Any], params: Any) -> types.CallToolResult:
        headers = context.request.headers if context.request else {}
        self.calls.append((params.name, params.arguments or {}, headers.get("authorization", "")))
        if params.name == "hang":
            self._loop, self._released = asyncio.get_running_loop(), asyncio.Event()
            await self._released.wait()
        if params.name == "crash":
            raise RuntimeError("broken")
        if params.name == "unfit":
            raise MCPError(types.INVALID_PARAMS, "Output validation error")
        said = str((params.arguments or {}).get("text"))
        text = {"huge": HUGE, "repeat_key": headers.get("authorization", "")}.get(
            params.name, self.pages.get(said, f"You said: {said}")
        )
        return types.CallToolResult(
            content=[types.TextContent(type="text", text=text)], is_error=params.name == "fail"
        )  # fmt: skip


@pytest.fixture(scope="module")
def running() -> Iterator[OddServer]:
    with OddServer().serving() as server:
        yield server


@pytest.fixture
def odd(running: OddServer) -> Iterator[OddServer]:
    """The server, with the tools that it has at first and no calls."""
    tools = list(running.tools)
    running.calls.clear()
    running.pages.clear()
    with override_settings(AGENTAPP_TOOL_ALLOWED_NETWORKS=[ip_network("127.0.0.0/8")]):
        yield running
    running.tools, running.page = tools, 1_000


def registered(odd: OddServer, tenant: Tenant, **values: Any) -> ToolServer:
    """A tool server of a tenant, with its tools."""
    given = {"tenant": tenant.slug, "name": "odd", "url": odd.url}
    server = tool_servers.save(OPERATOR, ToolServer(), given | values)
    drain()
    server.refresh_from_db()
    return server


def mark(server: ToolServer, name: str, access: str = "read") -> ServerTool:
    tool = ServerTool.objects.get(server=server, name=name)
    return tool_servers.decide(OPERATOR, server, tool.pk, access=access, sha256=tool.sha256)


def refreshed(server: ToolServer) -> ToolServer:
    tool_servers.refresh(OPERATOR, server)
    drain()
    server.refresh_from_db()
    return server
