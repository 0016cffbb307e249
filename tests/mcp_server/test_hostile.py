"""Whatever a client with a key sends, it gets an answer in our words, and no other tenant notices."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from agentapp.local import ports
from agentapp.models import ApiKey, Approval, History, Tenant
from agentapp.services.principals import Principal
from tests import harness
from tests.acceptance import scale
from tests.api import evil
from tests.api.live import Web

pytestmark = pytest.mark.django_db(transaction=True)

REQUESTS = scale.sized(short=200, long=3_000)
SECRET = "UNSPOKEN"
# Words of an error of ours that nobody has foreseen, and of Python's.
BROKEN = re.compile(r"service's log says why|Traceback|pydantic|Error handling POST|NoneType")


def samples(approval: Approval) -> list[dict[str, Any]]:
    """Return calls that mean no harm, and name what is another tenant's."""
    task = {"task_id": str(approval.workflow_id)}
    decision = {"decision": "approve", "content_sha256": approval.content_sha256, "reason": "r"}
    calls = {
        "submit_task": {"kind": "support_reply", "input": {"subject": "s"}, "labels": {"a": "b"}, "run_at": "now"},
        "list_tasks": {"state": "running", "kind": "k", "labels": {"a": "b"}, "limit": 1},
        "get_task": task,
        "wait_for_task": task | {"timeout_s": 1},
        "cancel_task": task | {"reason": "r"},
        "list_approvals": {"state": "pending", **task},
        "decide_approval": decision | {"approval_id": str(approval.pk)},
    }
    return [
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": arguments}}
        for name, arguments in calls.items()
    ]


def post(web: Web, body: bytes, token: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(ports.HOST, web.port, timeout=30)
    headers = {"Content-Type": "application/json", "Accept": "application/json", "Authorization": f"Bearer {token}"}
    try:
        connection.request("POST", "/mcp", body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_no_message_breaks_anything_or_crosses_to_another_tenant(
    web: Web, make_key: Callable[..., tuple[ApiKey, str]], other_tenant: Tenant, other_principal: Principal
) -> None:
    dice = scale.dice("test_mcp_hostile")
    task = harness.run_workflow(other_principal, "probe_decision", {"text": SECRET})
    before = History.objects.filter(workflow__tenant=other_tenant).count()
    calls, token = samples(Approval.objects.get(workflow=task)), make_key()[1]
    for _ in range(REQUESTS):
        sent = evil.body(dice, dice.choice(calls))
        status, content = post(web, sent, token)
        assert status < 500 and not BROKEN.search(content), (sent[:500], status, content)
        assert SECRET not in content, sent[:500]
        if content:
            json.loads(content)
    assert History.objects.filter(workflow__tenant=other_tenant).count() == before
