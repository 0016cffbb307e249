"""MCP servers whose tools the agents of a tenant may use: rows that operators edit."""

from __future__ import annotations

from django.db import models

from agentapp.models.tenant import Tenant
from agentapp.states import ToolAccess


class ToolServer(models.Model):
    """An MCP server of one tenant. Its key is not kept here: `key_variable` names an environment variable of the
    workers that call tool servers."""

    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="+", db_index=False)
    name = models.CharField(max_length=30, help_text="its tools are named after it: name__tool")
    url = models.CharField(max_length=500, help_text="of streamable HTTP")
    key_variable = models.CharField(max_length=100, blank=True, help_text="environment variable that holds its key")
    is_enabled = models.BooleanField(default=True)
    asks_when_tainted = models.BooleanField(
        default=True, help_text="ask a person before a run that has read untrusted text calls one of its read tools"
    )
    is_sequential = models.BooleanField(
        default=False,
        db_default=False,
        help_text="each call of its tools runs alone, in the order of the model's answer",
    )
    note = models.CharField(max_length=300, blank=True, help_text="what it is for")
    # Of the last listing of its tools.
    task_id = models.UUIDField(null=True, blank=True, help_text="the task that lists its tools")
    listed_at = models.DateTimeField(null=True, blank=True)
    problems = models.JSONField(default=list, blank=True, help_text="why tools are left out, or were not listed")
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("tenant", "name"), name="tool_server_once"),)

    def __str__(self) -> str:
        return f"{self.tenant}/{self.name}"


class ServerTool(models.Model):
    """A tool as its server described it last. `sha256` is of that description, and decides whether it has changed."""

    server = models.ForeignKey(ToolServer, on_delete=models.CASCADE, related_name="tools", db_index=False)
    name = models.CharField(max_length=64, help_text="as its server calls it")
    offered_name = models.CharField(max_length=64, help_text="as models call it")
    description = models.TextField(blank=True)
    schema = models.JSONField(help_text="JSON Schema of its arguments")
    sha256 = models.CharField(max_length=64, help_text="of what its server says of it")
    access = models.CharField(max_length=10, choices=ToolAccess, default=ToolAccess.UNKNOWN)
    decided_by = models.CharField(max_length=200, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    changed_at = models.DateTimeField(null=True, blank=True, help_text="since then nobody has decided")
    changed_from = models.CharField(max_length=10, choices=ToolAccess, blank=True, help_text="what it was until then")

    class Meta:
        constraints = (models.UniqueConstraint(fields=("server", "offered_name"), name="server_tool_once"),)

    def __str__(self) -> str:
        return self.offered_name
