"""Tool servers: MCP servers whose tools agents may use, added by superusers, who say which tools only read."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied as Forbidden
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse

from agentapp.admin import gates as gate_pages
from agentapp.admin import tool_server_form
from agentapp.admin.base import REFUSALS, model_page, page_of, principal_of, refuse
from agentapp.admin.platform import PlatformAdmin
from agentapp.errors import InvalidInput
from agentapp.lifecycle.tool_servers import target
from agentapp.models import GateChange, ToolServer
from agentapp.policies import bounds
from agentapp.services import tool_servers

_SHOWN_CHANGES = 5
_SHOWN_TOOLS = 20


@admin.register(ToolServer)
class ToolServerAdmin(PlatformAdmin):
    """Keys are named here, and never shown. What servers say of their tools is shown as text."""

    read_scope: ClassVar[str] = tool_servers.READ
    write_scope: ClassVar[str] = tool_servers.WRITE
    detail_template = "agentapp/tool_server.html"
    list_display = ("name", "tenant", "url", "is_enabled", "listed_at", "note")
    list_select_related = ("tenant",)
    search_fields = ("tenant__slug", "name", "url", "note")
    ordering = ("tenant__slug", "name")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.has_write_permission(request)

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_add_permission(request):
            raise Forbidden
        return self._save(request, ToolServer()) if request.method == "POST" else self.page(request, ToolServer())

    def page(self, request: HttpRequest, record: ToolServer, *, status: int = 200, **typed: Any) -> HttpResponse:
        """The form, with what was typed and what is wrong with it when the service refused it; and its tools."""
        is_new = record.pk is None
        entered, errors = typed.get("entered") or tool_server_form.of_server(record), typed.get("errors") or {}
        changes = [] if is_new else GateChange.objects.filter(target=target(record))[:_SHOWN_CHANGES]
        tools = None if is_new else tool_servers.tools(principal_of(request), record)
        context = self.page_context(request, "Add tool server" if is_new else f"Tool server {record}") | {
            "original": None if is_new else record,
            "groups": tool_server_form.groups(entered, errors, is_new=is_new),
            "wrong": [(name, message) for name, message in errors.items() if name not in tool_server_form.NAMES],
            "tools": page_of(request, "tools", tools, size=_SHOWN_TOOLS) if tools is not None else None,
            "changes": gate_pages.named(changes),
            "can_write": self.has_write_permission(request),
        }
        return TemplateResponse(request, self.detail_template, context, status=status)

    def act(self, request: HttpRequest, record: ToolServer) -> HttpResponse:
        action = request.POST.get("action", "")
        try:
            if action == "delete":
                tool_servers.delete(principal_of(request), record, reason=request.POST.get("reason", ""))
                messages.success(request, f"The tool server {record} is gone, and so are its tools.")
                return redirect(model_page(ToolServer, "changelist"))
            if action == "refresh":
                tool_servers.refresh(principal_of(request), record)
                messages.success(request, "It is asked for its tools. Load this page again in a moment.")
            elif action == "decide":
                self._decide(request, record)
            else:
                return self._save(request, record)
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

    def _save(self, request: HttpRequest, server: ToolServer) -> HttpResponse:
        entered = tool_server_form.typed(request.POST)
        values = tool_server_form.values(entered, is_new=server.pk is None)
        try:
            saved = tool_servers.save(principal_of(request), server, values, reason=entered["reason"])
        except InvalidInput as error:
            errors = {item["field"]: item["message"] for item in error.errors}
            messages.error(request, "Nothing was saved. Correct what is marked.")
            return self.page(request, self._as_stored(server), status=422, entered=entered, errors=errors)
        except REFUSALS as error:
            return self.page(request, self._as_stored(server), status=refuse(request, error), entered=entered)
        messages.success(request, f"Saved: the tool server {saved} holds from the next turn of an agent on.")
        return redirect(model_page(ToolServer, "change"), saved.pk)

    def _as_stored(self, server: ToolServer) -> ToolServer:
        """Without what was refused."""
        return ToolServer.objects.select_related("tenant").get(pk=server.pk) if server.pk else ToolServer()
