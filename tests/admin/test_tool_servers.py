"""Tool servers in the admin: for superusers, who say of each tool what it does, by the words that were shown. [C11]"""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from agentapp.models import GateChange, ServerTool, Tenant, ToolServer, Workflow

pytestmark = pytest.mark.django_db

SERVERS = "/admin/agentapp/toolserver/"
FORM = {"name": "shop", "url": "https://8.8.8.8/mcp", "is_enabled": "yes", "asks_when_tainted": "yes"}
HOSTILE = "Reads.</pre><script>alert(1)</script>"


def page_of(server: ToolServer) -> str:
    return reverse("admin:agentapp_toolserver_change", args=(server.pk,))


def text_of(answer: Any) -> str:
    return re.sub(r"\s+", " ", answer.content.decode())


def made(operator: Client, tenant: Tenant) -> tuple[ToolServer, ServerTool]:
    answer = operator.post(f"{SERVERS}add/", FORM | {"tenant": tenant.slug, "reason": "orders"}, follow=True)
    server = ToolServer.objects.get()
    assert answer.redirect_chain[-1][0] == page_of(server)
    tool = ServerTool.objects.create(
        server=server, name="state", offered_name="shop__state", description=HOSTILE, schema={}, sha256="a" * 64
    )  # fmt: skip
    return server, tool


def decided(operator: Client, server: ToolServer, tool: ServerTool, **values: str) -> Any:
    sent = {"action": "decide", "tool": str(tool.pk), "access": "read", "sha256": tool.sha256}
    return operator.post(page_of(server), sent | values, follow=True)


def test_a_server_is_added_asked_anew_changed_and_deleted(operator: Client, tenant: Tenant) -> None:
    server, _ = made(operator, tenant)
    first = server.task_id
    assert first and Workflow.objects.get(pk=first).kind == "list_server_tools"

    operator.post(page_of(server), {"action": "refresh"})
    operator.post(page_of(server), FORM | {"is_enabled": "no", "note": "paused"})
    server.refresh_from_db()
    assert server.task_id != first and (server.is_enabled, server.note) == (False, "paused")
    assert operator.post(page_of(server), {"action": "refresh"}).status_code == 409
    operator.post(page_of(server), {"action": "delete", "reason": "over"})

    assert not ToolServer.objects.exists() and not ServerTool.objects.exists()
    changes = GateChange.objects.order_by("id").values_list("action", "reason", "target")
    assert [change[:2] for change in changes] == [("created", "orders"), ("changed", ""), ("deleted", "over")]
    assert changes[0][2] == f"tool server {tenant}/shop"


def test_who_saves_a_form_that_was_opened_before_anothers_change_undoes_nothing(
    operator: Client, tenant: Tenant
) -> None:
    server, _ = made(operator, tenant)
    (seen,) = set(re.findall(r'name="as_read" value="(.*?)"', operator.get(page_of(server)).content.decode()))
    both = FORM | {"is_sequential": "no", "as_read": seen}
    assert operator.post(page_of(server), both | {"note": "theirs"}).status_code == 302

    late = operator.post(page_of(server), both | {"note": "mine", "asks_when_tainted": "no"})
    assert late.status_code == 409 and "Somebody has changed this" in text_of(late)
    wrong = dict(re.findall(r'<p class="error" id="wrong-(\w+)">(.*?)</p>', late.content.decode()))
    assert wrong == {"note": "Saved meanwhile: theirs.", "asks_when_tainted": "Saved meanwhile: yes."}
    assert "mine</textarea>" in text_of(late)
    assert operator.post(page_of(server), both | {"action": "delete"}).status_code == 409
    assert seen in operator.post(page_of(server), both | {"url": ""}).content.decode()
    assert ToolServer.objects.filter(note="theirs", asks_when_tainted=True).exists()


def test_a_person_decides_about_the_words_that_were_shown(operator: Client, tenant: Tenant) -> None:
    server, tool = made(operator, tenant)
    shown = text_of(operator.get(page_of(server)))
    assert "Unknown" in shown and "<script>alert" not in shown and "&lt;script&gt;alert" in shown

    assert "shop__state is read" in text_of(decided(operator, server, tool))
    refused = decided(operator, server, tool, sha256="b" * 64, access="write")
    assert refused.status_code == 409 and "has changed since it was shown" in text_of(refused)
    assert decided(operator, server, tool, access="free").status_code == 422
    assert decided(operator, server, ServerTool(pk=0, sha256="a")).status_code == 404

    tool.refresh_from_db()
    assert (tool.access, tool.decided_by) == ("read", "user:operator")


@pytest.mark.parametrize(
    ("values", "field", "says"),
    [
        ({"url": "https://127.0.0.1/mcp"}, "url", "not public"),
        ({"key_variable": "DATABASE_URL"}, "key_variable", "MCP_KEY_"),
        ({"name": "Shop__x"}, "name", "single underscores"),
        ({"tenant": "nobody"}, "tenant", "no tenant"),
    ],
)
def test_what_the_service_refuses_stands_beside_its_field(
    operator: Client, tenant: Tenant, values: dict[str, str], field: str, says: str
) -> None:
    answer = operator.post(f"{SERVERS}add/", FORM | {"tenant": tenant.slug} | values)

    wrong = dict(re.findall(r'<p class="error" id="wrong-(\w+)">(.*?)</p>', answer.content.decode()))
    assert answer.status_code == 422 and list(wrong) == [field] and says in wrong[field]
    assert not ToolServer.objects.exists()


def test_a_member_of_a_tenant_sees_no_servers(operator: Client, member: Client, tenant: Tenant) -> None:
    server, tool = made(operator, tenant)

    assert member.get(SERVERS).status_code == member.get(page_of(server)).status_code == 403
    assert decided(member, server, tool).status_code == 403
    tool.refresh_from_db()
    assert tool.access == "unknown"
