"""Which tools of MCP servers a run is offered. [C11]"""

from __future__ import annotations

import pytest

from agentapp.llm.tool_calls import ToolCall
from agentapp.models import ServerTool, Tenant, ToolServer
from agentapp.tools import planning
from agentapp.tools.servers import remote

pytestmark = pytest.mark.django_db


def test_the_tools_of_one_server_leave_room_for_those_of_another(tenant: Tenant) -> None:
    for name, title in (("aaa", "x" * 9_000), ("shop", "")):
        server = ToolServer.objects.create(tenant=tenant, name=name, url="https://8.8.8.8/mcp")
        schema = {"type": "object", "title": title}
        ServerTool.objects.bulk_create(
            ServerTool(server=server, name=f"t{n}", offered_name=f"{name}__t{n}", schema=schema, access="read")
            for n in range(8)
        )

    offered = [tool.offered_as for tool in remote.of_run(tenant.pk, None)]
    assert offered == [f"aaa__t{n}" for n in range(6)] + [f"shop__t{n}" for n in range(8)]
    named = [tool.offered_as for tool in remote.of_run(tenant.pk, ["aaa__t7", "shop__*", "aaa__t\x00"])]
    assert named == ["aaa__t7", *(f"shop__t{n}" for n in range(8))]


def test_each_call_of_a_sequential_server_runs_alone(tenant: Tenant) -> None:
    for name, is_sequential in (("shop", True), ("files", False)):
        server = ToolServer.objects.create(
            tenant=tenant, name=name, url="https://8.8.8.8/mcp", is_sequential=is_sequential
        )
        ServerTool.objects.create(server=server, name="a", offered_name=f"{name}__a", schema={}, access="read")
    known = {tool.offered_as: tool for tool in remote.of_run(tenant.pk, None)}
    calls = [ToolCall(str(n), name, "{}") for n, name in enumerate(["files__a", "files__a", "shop__a", "shop__a"])]

    plan = planning.plan(calls, known, tainted=False)

    assert [[one.id for one in group] for group in (plan.calls, *plan.rest)] == [["0", "1"], ["2"], ["3"]]
