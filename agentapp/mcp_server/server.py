"""The MCP requests that Django has accepted are answered here.

A request is served by a transport of its own, which ends with it: there are no sessions, so that any web process
answers any request, and nothing has to be kept or resumed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import mcp_types as types
from django.conf import settings
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.shared.exceptions import MCPError

import agentapp
from agentapp.api.problems import Problem
from agentapp.mcp_server import calls
from agentapp.mcp_server.catalogue import INSTRUCTIONS, TOOLS, Tool
from agentapp.mcp_server.endpoint import KEY, Accepted
from agentapp.streams import lines

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


async def serve(scope: Any, receive: Receive, send: Send) -> None:
    """Answer a request, unless its client goes."""
    answering = asyncio.ensure_future(_answer(scope, send))
    watching = asyncio.ensure_future(lines.until(receive, "http.disconnect"))
    try:
        await asyncio.wait({answering, watching}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (answering, watching):
            task.cancel()
        for found in await asyncio.gather(answering, watching, return_exceptions=True):
            # One that the server raises because its client has gone is an OSError.
            if isinstance(found, Exception) and not isinstance(found, OSError):
                raise found


async def _answer(scope: Any, send: Send) -> None:
    # A manager runs once, and one without sessions is nothing but a task group: each request has its own.
    manager = StreamableHTTPSessionManager(
        _server, json_response=True, stateless=True, max_request_body_size=settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    )
    # Django has found that the client takes JSON, and there is nothing else.
    headers = [(name, value) for name, value in scope["headers"] if name != b"accept"]
    scope = {**scope, "headers": [*headers, (b"accept", b"application/json")]}
    async with manager.run():
        await manager.handle_request(scope, _Body(scope[KEY].accepted.body), send)


class _Body:
    """What the transport receives: the body that Django has read, and then nothing."""

    def __init__(self, content: bytes) -> None:
        self._content: bytes | None = content

    async def __call__(self) -> Message:
        if self._content is None:
            await asyncio.Event().wait()
        content, self._content = self._content, None
        return {"type": "http.request", "body": content, "more_body": False}


async def _list_tools(
    context: ServerRequestContext[Any, Any], params: types.PaginatedRequestParams | None
) -> types.ListToolsResult:
    principal = _accepted(context).principal
    return types.ListToolsResult(tools=[_shown(tool) for tool in TOOLS.values() if tool.is_for(principal)])


async def _call_tool(
    context: ServerRequestContext[Any, Any], params: types.CallToolRequestParams
) -> types.CallToolResult:
    tool = TOOLS.get(params.name)
    if tool is None:
        raise MCPError(types.INVALID_PARAMS, f"There is no tool {params.name}. Choose one of: {', '.join(TOOLS)}.")
    try:
        answer = await calls.answer(tool, _accepted(context).principal, params.arguments or {})
    except Problem as problem:
        document = problem.document(instance=context.request.url.path if context.request else "")
        return types.CallToolResult(content=[_text(calls.words(problem))], structured_content=document, is_error=True)
    # The text is for clients that know no structured content.
    return types.CallToolResult(
        content=[_text(answer.model_dump_json())], structured_content=answer.model_dump(mode="json")
    )


def _accepted(context: ServerRequestContext[Any, Any]) -> Accepted:
    found = context.request.scope[KEY].accepted if context.request else None
    if not isinstance(found, Accepted):
        raise AssertionError("a request that Django has not accepted")
    return found


def _text(words: str) -> types.TextContent:
    return types.TextContent(type="text", text=words)


def _shown(tool: Tool) -> types.Tool:
    hints = types.ToolAnnotations(
        read_only_hint=tool.is_read_only,
        destructive_hint=tool.is_destructive,
        idempotent_hint=tool.is_idempotent,
        open_world_hint=tool.is_open_world,
    )
    return types.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=tool.input_schema,
        output_schema=tool.output_schema,
        annotations=hints,
    )


def _input_schema(name: str) -> dict[str, Any] | None:
    return TOOLS[name].input_schema if name in TOOLS else None


_server: Server[Any] = Server(
    "agentapp",
    version=agentapp.__version__,
    title="agentapp",
    instructions=INSTRUCTIONS,
    get_tool_input_schema=_input_schema,
    on_list_tools=_list_tools,
    on_call_tool=_call_tool,
)
