"""Which tools of MCP servers a run is offered. [C11]"""

from __future__ import annotations

import pytest

from agentapp.models import ServerTool, Tenant, ToolServer
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
