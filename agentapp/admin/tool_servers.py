"""Tool servers: MCP servers whose tools agents may use, added by superusers, who say which tools only read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from agentapp.admin import gates as gate_pages
from agentapp.admin import tool_server_form
from agentapp.admin.base import REFUSALS, model_page, page_of, principal_of, refuse
from agentapp.admin.form_pages import PlatformFormAdmin
from agentapp.lifecycle.tool_servers import target
from agentapp.models import ToolServer
from agentapp.policies import bounds
from agentapp.services import tool_servers

_SHOWN_TOOLS = 20


@admin.register(ToolServer)
class ToolServerAdmin(PlatformFormAdmin):
    """Keys are named here, and never shown. What servers say of their tools is shown as text."""

    read_scope: ClassVar[str] = tool_servers.READ
    write_scope: ClassVar[str] = tool_servers.WRITE
    service = tool_servers
    layout = tool_server_form
    detail_template = "agentapp/tool_server.html"
    list_display = ("name", "tenant", "url", "is_enabled", "listed_at", "note")
    list_select_related = ("tenant",)
    search_fields = ("tenant__slug", "name", "url", "note")
    ordering = ("tenant__slug", "name")

    def values(self, entered: Mapping[str, str], record: ToolServer) -> dict[str, Any]:
        return tool_server_form.values(entered, is_new=record.pk is None)

    def groups(
        self, request: HttpRequest, record: ToolServer, entered: Mapping[str, str], errors: Mapping[str, str]
    ) -> Any:
        return tool_server_form.groups(entered, errors, is_new=record.pk is None)

    def context(self, request: HttpRequest, record: ToolServer) -> dict[str, Any]:
        is_new = record.pk is None
        tools = None if is_new else tool_servers.tools(principal_of(request), record)
        return {
            "title": "Add tool server" if is_new else f"Tool server {record}",
            "tools": page_of(request, "tools", tools, size=_SHOWN_TOOLS) if tools is not None else None,
            "changes": [] if is_new else gate_pages.changes_of(target(record)),
        }

    def act(self, request: HttpRequest, record: ToolServer) -> HttpResponse:
        action = request.POST.get("action", "")
        if action not in ("refresh", "decide"):
            return super().act(request, record)
        try:
            if action == "refresh":
                tool_servers.refresh(principal_of(request), record)
                messages.success(request, "It is asked for its tools. Load this page again in a moment.")
            else:
                self._decide(request, record)
        except REFUSALS as error:
            return self.page(request, record, status=refuse(request, error))
        return redirect(model_page(ToolServer, "change"), record.pk)

    def _decide(self, request: HttpRequest, record: ToolServer) -> None:
        post = request.POST
        tool = tool_servers.decide(
            principal_of(request), record, bounds.whole(post.get("tool", ""), most=bounds.LARGEST_BIGINT) or 0,
            access=post.get("access", ""), sha256=post.get("sha256", ""),
        )  # fmt: skip
        messages.success(request, f"Saved: {tool.offered_name} is {tool.access} from the next turn of an agent on.")

    def saved(self, request: HttpRequest, record: ToolServer) -> None:
        messages.success(request, f"Saved: the tool server {record} holds from the next turn of an agent on.")

    def deleted(self, record: ToolServer) -> str:
        return f"The tool server {record} is gone, and so are its tools."
