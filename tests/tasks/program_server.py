"""An MCP server of the official package that is a program; it behaves badly when told to."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

ANY = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
NAMES = ("echo", "environment", "die", "hang")


async def tools(context: ServerRequestContext[Any, Any], params: object) -> types.ListToolsResult:
    return types.ListToolsResult(
        tools=[types.Tool.model_validate({"name": name, "inputSchema": ANY}) for name in NAMES]
    )


async def call(context: ServerRequestContext[Any, Any], params: types.CallToolRequestParams) -> types.CallToolResult:
    with Path(sys.argv[1]).open("a") as calls:
        calls.write(f"{params.name}\n")
    if params.name == "die":
        os._exit(3)
    if params.name == "hang":
        time.sleep(600)
    said = (params.arguments or {}).get("text")
    text = " ".join(sorted(os.environ)) if params.name == "environment" else f"You said: {said}"
    return types.CallToolResult(content=[types.TextContent(type="text", text=text)])


async def main() -> None:
    server: Server[Any] = Server("program", on_list_tools=tools, on_call_tool=call)
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


anyio.run(main)
