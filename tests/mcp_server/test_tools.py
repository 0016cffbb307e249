"""What an assistant can do with a key: submit, look, cancel, decide; nothing that the key may not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from mcp import MCPError

from agentapp.models import Approval, Workflow
from agentapp.policies.permissions import API_SCOPES
from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests import harness
from tests.mcp_server.conftest import Assistant

pytestmark = pytest.mark.django_db(transaction=True)

QUESTION = {"subject": "Invoices", "body": "Where do I find my invoices?", "customer_email": "reader@example.org"}
READING = {"list_kinds", "get_task", "list_tasks", "wait_for_task"}
MakeAssistant = Callable[..., Assistant]


@pytest.fixture
def waiting(principal: Principal) -> Approval:
    """A task that waits for a person."""
    task = harness.run_workflow(principal, "probe_decision", {"text": "hello"})
    return Approval.objects.get(workflow=task)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_client_of_either_generation_submits_and_looks(assistant: MakeAssistant, mode: str) -> None:
    mine = assistant()
    mine.mode = mode

    async def ask(client: Any) -> dict[str, Any]:
        assert client.server_info.name == "agentapp"
        assert "submit_task" in (client.instructions or "")
        made = await client.call_tool("submit_task", {"kind": "support_reply", "input": QUESTION})
        found = await client.call_tool("get_task", {"task_id": made.structured_content["id"]})
        return dict(found.structured_content)

    found = mine.with_client(ask)

    assert (found["state"], found["input"]["subject"]) == ("pending", "Invoices")
    assert "wait_for_task" in found["next_step"]
    assert Workflow.objects.get().pk.hex == found["id"].replace("-", "")


@pytest.mark.parametrize(
    ("scopes", "more"),
    [
        (("documents:read",), set()),
        (("tasks:read",), {"get_task", "list_tasks", "wait_for_task"}),
        (("tasks:write",), {"submit_task"}),
        (("tasks:read", "tasks:write"), {"get_task", "list_tasks", "wait_for_task", "submit_task", "cancel_task"}),
        (("approvals:read",), {"list_approvals"}),
        (("approvals:decide", "approvals:read"), {"list_approvals", "decide_approval"}),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, tuple) else "",
)
def test_a_key_is_told_of_the_tools_that_its_scopes_open(
    assistant: MakeAssistant, scopes: tuple[str, ...], more: set[str]
) -> None:
    assert set(assistant(*scopes).tools()) == {"list_kinds"} | more


def test_the_tools_say_what_they_do(assistant: MakeAssistant) -> None:
    tools = assistant().tools()

    hints = {name: tool.annotations for name, tool in tools.items()}
    assert {name for name, hint in hints.items() if hint.read_only_hint} == {*READING, "list_approvals"}
    assert {name for name, hint in hints.items() if hint.destructive_hint} == {"cancel_task", "decide_approval"}
    assert all(hint.idempotent_hint for hint in hints.values() if hint.read_only_hint)
    assert all(tool.output_schema["type"] == "object" for tool in tools.values())
    assert tools["submit_task"].input_schema["required"] == ["kind", "input"]


def test_the_kinds_have_the_schemas_of_their_inputs(assistant: MakeAssistant) -> None:
    kinds = {kind["kind"]: kind for kind in assistant("tasks:write").call("list_kinds")["kinds"]}

    assert "customer_email" in kinds["support_reply"]["input_schema"]["properties"]
    assert "webhook_delivery" not in kinds


def test_the_same_name_makes_one_task(assistant: MakeAssistant) -> None:
    mine = assistant()
    named = {"kind": "support_reply", "input": QUESTION, "idempotency_key": "once"}

    assert mine.call("submit_task", **named)["id"] == mine.call("submit_task", **named)["id"]
    assert "another request" in mine.refused("submit_task", **named | {"priority": "low"})


def test_tasks_are_found_by_state_kind_and_label(assistant: MakeAssistant, principal: Principal) -> None:
    ids = [workflows.submit(principal, kind="probe_fan", input={}, labels={"n": str(n)}).pk for n in range(3)]
    workflows.cancel(principal, ids[0], reason="")
    mine = assistant("tasks:read")

    def found(**wanted: Any) -> list[str]:
        return [task["id"] for task in mine.call("list_tasks", **wanted)["tasks"]]

    assert found() == found(kind="probe_fan") == [str(pk) for pk in reversed(ids)]
    assert found(state="cancelled") == [str(ids[0])]
    assert found(labels={"n": "1"}) == [str(ids[1])]
    page = mine.call("list_tasks", limit=2)
    assert page["has_more"] and found(created_before=page["tasks"][-1]["created_at"]) == [str(ids[0])]


def test_a_task_is_cancelled_once(assistant: MakeAssistant, principal: Principal) -> None:
    task = workflows.submit(principal, kind="probe_fan", input={})
    mine = assistant()

    assert mine.call("cancel_task", task_id=str(task.pk), reason="the user said so")["state"] == "cancelled"
    assert "cancelled" in mine.refused("cancel_task", task_id=str(task.pk))


def test_a_decision_lets_the_task_go_on(assistant: MakeAssistant, waiting: Approval) -> None:
    mine = assistant()
    assert "A person must decide" in mine.call("get_task", task_id=str(waiting.workflow_id))["next_step"]
    (shown,) = mine.call("list_approvals")["approvals"]
    assert shown["content"]["body"] == "HELLO"

    decided = mine.call(
        "decide_approval", approval_id=shown["id"], decision="approve", content_sha256=shown["content_sha256"]
    )

    assert (decided["state"], decided["decided_by"]) == ("approved", f"key:{mine.token.split('_')[1]}")
    harness.drain()
    assert mine.call("wait_for_task", task_id=str(waiting.workflow_id))["result"] == {"outcome": "sent"}


def test_a_key_without_the_scope_approves_nothing(assistant: MakeAssistant, waiting: Approval) -> None:
    mine = assistant(*(scope for scope in API_SCOPES if scope != "approvals:decide"))

    assert "decide_approval" not in mine.tools()
    words = mine.refused(
        "decide_approval", approval_id=str(waiting.pk), decision="approve", content_sha256=waiting.content_sha256
    )
    assert "This needs the scope approvals:decide" in words
    assert "This needs the scope approvals:decide" in mine.refused("decide_approval"), "said before the arguments"
    waiting.refresh_from_db()
    assert waiting.state == "pending"


def test_a_decision_on_other_content_is_refused(assistant: MakeAssistant, waiting: Approval) -> None:
    mine = assistant()
    decision = {"approval_id": str(waiting.pk), "content_sha256": waiting.content_sha256}

    mine.refused("decide_approval", **decision | {"content_sha256": "0" * 64}, decision="approve")
    assert "Say why it is rejected." in mine.refused("decide_approval", **decision, decision="reject")
    waiting.refresh_from_db()
    assert waiting.state == "pending"


def test_what_is_anothers_answers_like_what_is_not_there(assistant: MakeAssistant, waiting: Approval) -> None:
    other = assistant(of=waiting.tenant.__class__.objects.get(slug="other"))
    task, approval, nothing = str(waiting.workflow_id), str(waiting.pk), str(uuid4())
    decision = {"decision": "approve", "content_sha256": waiting.content_sha256}

    for tool in ("get_task", "wait_for_task", "cancel_task"):
        assert other.refused(tool, task_id=task) == other.refused(tool, task_id=nothing).replace(nothing, task)
    found = other.refused("decide_approval", approval_id=approval, **decision)
    assert found == other.refused("decide_approval", approval_id=nothing, **decision).replace(nothing, approval)
    assert other.call("list_tasks") == {"tasks": [], "has_more": False}
    assert other.call("list_approvals", state=None) == {"approvals": [], "has_more": False}
    waiting.refresh_from_db()
    assert (waiting.state, waiting.workflow.state) == ("pending", "awaiting_approval")


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        ("submit_task", {"kind": "nothing", "input": {}}, "kind: There is no task kind 'nothing'."),
        ("submit_task", {"kind": "support_reply", "input": {"subject": 1}}, "input.customer_email: This field is"),
        ("submit_task", {"kind": "support_reply"}, "input: This field is required."),
        ("submit_task", {"kind": "support_reply", "input": QUESTION, "colour": 1}, "colour: There is no such field."),
        ("submit_task", {"kind": "support_reply", "input": QUESTION | {"body": "\x00"}}, "the character NUL"),
        ("submit_task", {"kind": "support_reply", "input": QUESTION, "run_at": "noon"}, "a time with its zone"),
        ("submit_task", {"kind": "support_reply", "input": QUESTION, "idempotency_key": ""}, "Give idempotency_key 1"),
        ("get_task", {"task_id": "1"}, "task_id: This must be a UUID"),
        ("list_tasks", {"limit": 1000}, "limit: This must be 50 or less."),
        ("list_tasks", {"state": "asleep"}, "state: Choose one of"),
        ("wait_for_task", {"task_id": str(uuid4()), "timeout_s": 600}, "timeout_s: This must be 55 or less."),
        ("decide_approval", {"approval_id": str(uuid4()), "decision": "yes"}, "decision: Choose one of"),
    ],
)
def test_what_is_wrong_is_said_in_the_words_of_the_api(
    assistant: MakeAssistant, tool: str, arguments: dict[str, Any], words: str
) -> None:
    found = assistant().refused(tool, **arguments)

    assert words in found
    assert "pydantic" not in found and "Traceback" not in found
    assert not Workflow.objects.exists()


def test_a_tool_that_is_not_there_is_an_error_of_the_protocol(assistant: MakeAssistant) -> None:
    with pytest.raises(MCPError, match="There is no tool reboot") as refused:
        assistant().call("reboot")
    assert "list_kinds" in str(refused.value)


def test_calls_of_one_client_are_answered_side_by_side(assistant: MakeAssistant, principal: Principal) -> None:
    """The second is answered while the first waits: it ends what the first waits for."""
    task = str(workflows.submit(principal, kind="probe_fan", input={}).pk)

    async def ask(client: Any) -> dict[str, Any]:
        async def cancel() -> None:
            await client.call_tool("cancel_task", {"task_id": task})

        waited, _ = await asyncio.gather(
            client.call_tool("wait_for_task", {"task_id": task, "timeout_s": 55}), cancel()
        )
        return dict(waited.structured_content)

    assert assistant().with_client(ask)["state"] == "cancelled"
