"""Tool servers and their tools: kept, listed, decided about. Every change leaves a GateChange.

A server may describe a tool differently tomorrow: what a person has decided holds for what it said then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from agentapp import flows, registry
from agentapp.errors import InvalidPlan
from agentapp.ids import uuid7
from agentapp.lifecycle import audit, database
from agentapp.lifecycle.opened import Opened
from agentapp.lifecycle.submit import submit
from agentapp.models import ServerTool, ToolServer, Workflow
from agentapp.observability import events
from agentapp.policies import priority
from agentapp.policies.tool_servers import ListedTool
from agentapp.states import Origin, ToolAccess

Json = dict[str, Any]

KIND = "list_server_tools"
LABEL = "tool_server"
# After so long nobody waits for the list any more.
OPEN_FOR_S = 3600.0
SETTABLE = ("url", "key_variable", "is_enabled", "asks_when_tainted", "is_sequential", "note")


def fields_of(server: ToolServer) -> Json:
    """What a server's row says, as the audit keeps it."""
    values = {name: getattr(server, name) for name in SETTABLE}
    return {"tenant": server.tenant.slug, "name": server.name, **values}


def target(server: ToolServer, tool: ServerTool | None = None) -> str:
    """The name of a server, or of a tool, in the audit."""
    return f"tool {server}/{tool.name}" if tool else f"tool server {server}"


def keep(server: ToolServer, *, before: Json | None, actor: str, reason: str = "") -> None:
    """Make a server, or change one that said `before`. Another address is another server: what was decided about its
    tools does not hold for it.

    Raises:
        django.db.IntegrityError: the tenant has one of that name.
    """
    with database.atomic():
        if before and before["url"] != server.url:
            ServerTool.objects.filter(server=server).delete()
            server.task_id, server.listed_at, server.problems = None, None, []
        server.save()
        audit.note(
            target(server), "changed" if before else "created",
            actor=actor, reason=reason, before=before, after=fields_of(server),
        )  # fmt: skip


def remove(server: ToolServer, *, actor: str, reason: str = "") -> None:
    """Forget a server and its tools; calls that wait are answered that it is gone."""
    with database.atomic():
        audit.note(target(server), "deleted", actor=actor, reason=reason, before=fields_of(server))
        server.delete()


def decide(tool: ServerTool, access: ToolAccess, *, actor: str, reason: str = "") -> None:
    """Say what a tool does. The caller holds its row, and has shown what it says."""
    before = {"access": tool.access, "sha256": tool.sha256}
    with database.atomic():
        tool.access, tool.decided_by, tool.decided_at = access, actor, database.now()
        tool.changed_at, tool.changed_from = None, ""
        tool.save()
        after = {"access": tool.access, "sha256": tool.sha256}
        audit.note(target(tool.server, tool), "changed", actor=actor, reason=reason, before=before, after=after)


def begin_listing(server: ToolServer, *, actor: str) -> Opened:
    """Start the task that lists the tools of a server. One that was started before stores nothing any more."""
    flow = registry.latest_flow(KIND)
    if flow is None:
        raise InvalidPlan(f"There is no task kind {KIND}: it is part of tasks/flows.")
    task = Workflow(
        id=uuid7(), tenant_id=server.tenant_id, kind=KIND, version=flow.version, origin=Origin.TOOL_SERVER,
        priority=priority.NAMES.index("normal"), labels={LABEL: server.name}, input={"server_id": server.pk},
        result_bind=flows.paths_of(flow.result),
    )  # fmt: skip
    with database.atomic():
        ToolServer.objects.filter(pk=server.pk).update(task_id=task.pk)
        opened = submit(task, stages=flows.plan(flow), actor=actor, deadline_s=OPEN_FOR_S)[0]
    server.task_id = task.pk
    return opened


def listed(server_id: int, found: Sequence[ListedTool], problems: Sequence[str], *, task: UUID) -> list[str] | None:
    """Store what a server lists now; what it lists no more is gone. Return the names of the tools that have changed
    since a person had decided about them; None where this task may not store it, because it is not the latest."""
    with database.atomic():
        rows = ToolServer.objects.select_for_update(of=("self",)).select_related("tenant")
        server = rows.filter(pk=server_id, task_id=task).first()
        if server is None:
            return None
        known = {tool.name: tool for tool in ServerTool.objects.select_for_update().filter(server=server)}
        ServerTool.objects.filter(server=server).exclude(name__in=[tool.name for tool in found]).delete()
        changed = [tool.name for tool in found if _store(server, known.get(tool.name), tool)]
        server.listed_at, server.problems = database.now(), list(problems)
        server.save(update_fields=("listed_at", "problems"))
    return changed


def not_listed(server_id: int, problem: str, *, task: UUID) -> bool:
    """Write down why the tools of a server could not be listed; those that were known stay. False where this task is
    not the latest."""
    rows = ToolServer.objects.filter(pk=server_id, task_id=task)
    return bool(rows.update(problems=[problem]))


def _store(server: ToolServer, known: ServerTool | None, tool: ListedTool) -> bool:
    """Store a tool, and return whether a person had decided about something else."""
    row = known or ServerTool(server=server, name=tool.name)
    has_changed = known is not None and known.sha256 != tool.sha256
    was = row.access if has_changed else ToolAccess.UNKNOWN
    row.offered_name, row.description, row.schema = tool.offered_name, tool.description, tool.schema
    row.sha256 = tool.sha256
    if was != ToolAccess.UNKNOWN:
        row.access, row.decided_by, row.decided_at = ToolAccess.UNKNOWN, "", None
        row.changed_at, row.changed_from = database.now(), was
        before, after = {"access": was}, {"access": row.access, "sha256": row.sha256}
        audit.note(
            target(server, row), "changed",
            actor="worker", reason="Its server describes it differently now.", before=before, after=after,
        )  # fmt: skip
        events.emit("tool_server.tool_changed", server=server.pk, tool=tool.offered_name, was=was)
    with database.atomic():
        row.save()
    return was != ToolAccess.UNKNOWN
