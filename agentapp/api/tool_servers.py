"""/tool-servers: MCP servers whose tools the agents of a tenant may use. For who runs the platform."""

from __future__ import annotations

from typing import Annotated

import pydantic
from rest_framework.request import Request
from rest_framework.response import Response

from agentapp.api import body, conditional, links, pages, query, schemas, shapes
from agentapp.api.answers import tool_servers as answers
from agentapp.api.contract.headers import AS_READ, LOCATION, changed, tagged
from agentapp.api.contract.operation import Operation, nothing, one, page
from agentapp.api.endpoint import Endpoint, number
from agentapp.api.tool_server_bodies import ChangeToolServer, DecideAccess, NewToolServer
from agentapp.models import ServerTool, ToolServer
from agentapp.policies import bounds
from agentapp.policies.tool_servers import identity
from agentapp.services import tool_servers

ServerId = Annotated[int, pydantic.Field(ge=1, le=bounds.LARGEST_BIGINT, description="The id of the tool server.")]
ToolId = Annotated[int, pydantic.Field(ge=1, le=bounds.LARGEST_BIGINT, description="The id of the tool.")]


def server_shape(row: ToolServer) -> answers.ToolServer:
    return {
        "id": row.pk, "tenant": row.tenant.slug, "name": row.name, "url": row.url, "key_variable": row.key_variable,
        "is_enabled": row.is_enabled, "asks_when_tainted": row.asks_when_tainted,
        "is_sequential": row.is_sequential, "note": row.note,
        "task": str(row.task_id) if row.task_id else None, "listed_at": shapes.time(row.listed_at),
        "problems": row.problems, "updated_at": shapes.time(row.updated_at),
    }  # fmt: skip


def tool_shape(row: ServerTool) -> answers.ServerTool:
    return {
        "id": row.pk, "name": row.name, "offered_name": row.offered_name,
        "limit_name": identity(row.offered_name, row.server.tenant.slug), "description": row.description,
        "schema": row.schema, "sha256": row.sha256, "access": row.access, "decided_by": row.decided_by or None,
        "decided_at": shapes.time(row.decided_at), "changed_at": shapes.time(row.changed_at),
        "changed_from": row.changed_from or None,
    }  # fmt: skip


class ToolServers(Endpoint):
    """GET /tool-servers, POST /tool-servers."""

    scopes = {"GET": tool_servers.READ, "POST": tool_servers.WRITE}
    contract = {
        "GET": Operation(
            "list_tool_servers", "List tool servers", query=query.Page, answers={200: page(answers.ToolServer)}
        ),
        "POST": Operation(
            "make_tool_server", "Add a tool server", body=NewToolServer,
            answers={201: one(answers.ToolServer, "The tool server.", LOCATION)},
        ),
    }  # fmt: skip

    def get(self, request: Request) -> Response:
        wanted = query.read(request, query.Page)
        rows = tool_servers.listing(self.principal)
        return pages.page(request, rows, wanted, shapes=shapes.each(server_shape), order=pages.FIRST_WRITTEN_FIRST)

    def post(self, request: Request) -> Response:
        """It is asked for its tools at once, by the task that `task` names."""
        wanted = body.read(request, NewToolServer)
        server = tool_servers.save(self.principal, ToolServer(), wanted.values(), reason=wanted.reason)
        headers = {"Location": links.to(f"/tool-servers/{server.pk}")}
        return Response(server_shape(server), status=201, headers=headers)


class _OfOneServer(Endpoint):
    path_parameters = {"server_id": ServerId}

    def _server(self, server_id: str) -> ToolServer:
        return tool_servers.get(self.principal, number(server_id, noun="tool server"))


class OneToolServer(_OfOneServer):
    """GET, PATCH and DELETE /tool-servers/{id}."""

    scopes = {"GET": tool_servers.READ, "PATCH": tool_servers.WRITE, "DELETE": tool_servers.WRITE}
    contract = {
        "GET": Operation("get_tool_server", "Read a tool server", **tagged(answers.ToolServer)),
        "PATCH": Operation(
            "change_tool_server", "Change a tool server", body=ChangeToolServer, **changed(answers.ToolServer)
        ),
        "DELETE": Operation(
            "delete_tool_server", "Delete a tool server and its tools", query=query.Delete,
            answers={204: nothing("It is deleted.")}, **AS_READ,
        ),
    }  # fmt: skip

    def get(self, request: Request, server_id: str) -> Response:
        return conditional.read(request, server_shape(self._server(server_id)))

    def patch(self, request: Request, server_id: str) -> Response:
        """Fields that are not sent stay as they are. With another address its tools are listed anew, and nothing is
        known of them."""
        server = self._server(server_id)
        wanted = body.read(request, ChangeToolServer)
        with conditional.as_read(request, server_shape(server), server.updated_at) as as_read:
            saved = tool_servers.save(self.principal, server, wanted.values(), reason=wanted.reason, as_read=as_read)
        return conditional.tagged(server_shape(saved))

    def delete(self, request: Request, server_id: str) -> Response:
        wanted = query.read(request, query.Delete)
        server = self._server(server_id)
        with conditional.as_read(request, server_shape(server), server.updated_at) as as_read:
            tool_servers.delete(self.principal, server, reason=wanted.reason, as_read=as_read)
        return Response(status=204)


class RefreshToolServer(_OfOneServer):
    """POST /tool-servers/{id}/refresh: ask it for its tools."""

    scopes = {"POST": tool_servers.WRITE}
    contract = {
        "POST": Operation(
            "refresh_tool_server", "List the tools of a tool server anew", body=schemas.Nothing,
            answers={202: one(answers.ToolServer, "It is asked, by the task that `task` names.")},
            problems=("conflict",),
        )
    }  # fmt: skip

    def post(self, request: Request, server_id: str) -> Response:
        """A tool whose description has changed is unknown again."""
        server = self._server(server_id)
        body.read(request, schemas.Nothing)
        return Response(server_shape(tool_servers.refresh(self.principal, server)), status=202)


class ServerTools(_OfOneServer):
    """GET /tool-servers/{id}/tools."""

    scopes = {"GET": tool_servers.READ}
    contract = {
        "GET": Operation(
            "list_server_tools", "List the tools of a tool server", query=query.Page,
            answers={200: page(answers.ServerTool)},
        )
    }  # fmt: skip

    def get(self, request: Request, server_id: str) -> Response:
        wanted = query.read(request, query.Page)
        rows = tool_servers.tools(self.principal, self._server(server_id))
        return pages.page(request, rows, wanted, shapes=shapes.each(tool_shape), order=pages.FIRST_WRITTEN_FIRST)


class OneServerTool(_OfOneServer):
    """GET and PATCH /tool-servers/{id}/tools/{tool_id}."""

    scopes = {"GET": tool_servers.READ, "PATCH": tool_servers.WRITE}
    contract = {
        "GET": Operation("get_server_tool", "Read a tool of a tool server", answers={200: one(answers.ServerTool)}),
        "PATCH": Operation(
            "decide_server_tool", "Say whether a tool reads or writes", body=DecideAccess,
            answers={200: one(answers.ServerTool)}, problems=("conflict",),
        )
    }  # fmt: skip
    path_parameters = {"server_id": ServerId, "tool_id": ToolId}

    def get(self, request: Request, server_id: str, tool_id: str) -> Response:
        tool = number(tool_id, noun="tool")
        return Response(tool_shape(tool_servers.tool(self.principal, self._server(server_id), tool)))

    def patch(self, request: Request, server_id: str, tool_id: str) -> Response:
        """Name the `sha256` of the description that a person has read: another one is a 409."""
        server = self._server(server_id)
        tool = number(tool_id, noun="tool")
        wanted = body.read(request, DecideAccess)
        return Response(
            tool_shape(
                tool_servers.decide(
                    self.principal, server, tool, access=wanted.access, sha256=wanted.sha256, reason=wanted.reason
                )
            )
        )
