"""Reading and deciding approvals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agentapp.models import ApiKey, Approval, Tenant
from agentapp.policies.content import canonical_sha256
from tests import harness
from tests.api.conftest import Api, problem_of
from tests.approvals import questions as questions  # registers probe_refunds

pytestmark = pytest.mark.django_db


@pytest.fixture
def approval(api: Api) -> dict[str, Any]:
    """Return a pending approval as the API shows it."""
    assert api.post("/tasks", {"kind": "probe_decision", "input": {"text": "hello"}}).status_code == 202
    harness.drain()
    (shown,) = api.get("/approvals", state="pending").json()["results"]
    answer: dict[str, Any] = shown
    return answer


def decide(api: Api, approval: dict[str, Any], decision: str, **fields: Any) -> Any:
    body = {"decision": decision, "content_sha256": approval["content_sha256"]} | fields
    return api.post(f"/approvals/{approval['id']}/decision", body)


def test_an_approval_has_exactly_its_shape(api: Api, approval: dict[str, Any]) -> None:
    assert api.get(f"/approvals/{approval['id']}").json() == approval
    assert set(approval) == {
        "id", "task", "state", "content", "content_sha256", "sources", "evaluation", "risk", "expires_at",
        "created_at", "decided_at", "decided_by", "reason", "held_until", "policy", "quorum",
        "votes", "votes_missing", "may_decide", "refusal",
        "claimed_by", "claimed_until", "snoozed_until", "already_sent", "undecidable", "job", "summary",
        "bypassed_customer",
    }  # fmt: skip
    assert approval["content"] == {"to": "reader@sample.test", "subject": "probe", "body": "HELLO"}
    assert approval["content_sha256"] == canonical_sha256(approval["content"])
    assert (approval["decided_at"], approval["decided_by"], approval["reason"]) == (None, None, None)

    task = api.get(f"/tasks/{approval['task']}").json()
    assert task["state"] == "awaiting_approval"
    assert [(reason["type"], reason["id"]) for reason in task["blocked_by"]] == [("approval", approval["id"])]


def test_what_a_job_asks_names_the_job(api: Api) -> None:
    assert api.post("/tasks", {"kind": "probe_refunds", "input": {"amounts": [20, 1]}}).status_code == 202
    harness.drain()

    (shown,) = api.get("/approvals", state="pending").json()["results"]
    task = api.get(f"/tasks/{shown['task']}").json()
    assert (shown["summary"], task["state"]) == ("Refund 20", "running")
    assert task["blocked_by"] == [
        {"type": "approval", "id": shown["id"], "expires_at": None, "job": shown["job"], "job_type": "probe_refund"}
    ]
    assert decide(api, shown, "approve").json()["state"] == "approved"
    harness.drain()
    assert api.get(f"/tasks/{shown['task']}").json()["state"] == "completed"


def test_an_approved_task_goes_on_to_its_end(
    tenant: Tenant, api: Api, approval: dict[str, Any], make_key: Callable[..., tuple[ApiKey, str]]
) -> None:
    key, token = make_key(tenant, "approvals:read", "approvals:decide")
    decided = decide(Api(token), approval, "approve").json()
    assert (decided["state"], decided["decided_by"]) == ("approved", f"key:{key.prefix}")
    assert decided["decided_at"].endswith("Z")

    harness.drain()
    task = api.get(f"/tasks/{approval['task']}").json()
    assert (task["state"], task["result"]) == ("completed", {"outcome": "sent"})


def test_an_edit_is_approved_as_edited(api: Api, approval: dict[str, Any]) -> None:
    content = approval["content"] | {"body": "Better words."}
    decided = decide(api, approval, "edit", content=content).json()
    assert (decided["state"], decided["content"]) == ("approved", content)
    assert decided["content_sha256"] == canonical_sha256(content)


def test_a_request_for_changes_leads_to_another_approval(api: Api, approval: dict[str, Any]) -> None:
    assert decide(api, approval, "request_changes", reason="Shorter.").json()["state"] == "changes_requested"
    harness.drain()
    (again,) = api.get("/approvals", state="pending", task=approval["task"]).json()["results"]
    assert again["id"] != approval["id"]
    assert len(api.get("/approvals", task=approval["task"]).json()["results"]) == 2


def test_a_rejection_ends_the_task_with_its_reason(api: Api, approval: dict[str, Any]) -> None:
    decided = decide(api, approval, "reject", reason="Not ours.").json()
    assert (decided["state"], decided["reason"]) == ("rejected", "Not ours.")
    task = api.get(f"/tasks/{approval['task']}").json()
    assert (task["state"], task["result"]["outcome"]) == ("completed", "rejected")


def test_the_second_decision_is_a_conflict(api: Api, approval: dict[str, Any]) -> None:
    assert decide(api, approval, "approve").status_code == 200
    problem_of(decide(api, approval, "reject", reason="Too late."), 409)
    assert api.get(f"/approvals/{approval['id']}").json()["state"] == "approved"


def test_a_decision_on_other_bytes_is_a_conflict(api: Api, approval: dict[str, Any]) -> None:
    problem_of(decide(api, approval, "approve", content_sha256="0" * 64), 409)
    assert api.get(f"/approvals/{approval['id']}").json() == approval


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"decision": "maybe"}, "decision"),
        ({"decision": "reject"}, "reason"),
        ({"decision": "request_changes", "reason": "  "}, "reason"),
        ({"decision": "edit"}, "content"),
        ({"decision": "edit", "content": {"body": "x"}}, "content"),
        ({"decision": "edit", "content": {"to": "a@b.test", "subject": "s", "body": 5}}, "content.body"),
        ({"decision": "approve", "content": {"to": "a@b.test", "subject": "s", "body": "b"}}, "content"),
        ({"content_sha256": "abc"}, "content_sha256"),
        ({"content_sha256": None}, "content_sha256"),
        ({"quorum": 2}, "quorum"),
    ],
)
def test_a_decision_that_makes_no_sense_changes_nothing(
    api: Api, approval: dict[str, Any], fields: dict[str, Any], path: str
) -> None:
    problem = problem_of(decide(api, approval, **({"decision": "approve"} | fields)), 422)
    assert path in [error["field"] for error in problem["errors"]]
    assert api.get(f"/approvals/{approval['id']}").json() == approval


@pytest.mark.parametrize("hidden", ["\n", "\x0b", "\x0c", "\x1c", "\x1f", "\x85", "\u2028", "\u2029"])
@pytest.mark.parametrize("field", ["to", "subject"])
def test_an_edit_cannot_add_a_line_to_the_header(api: Api, approval: dict[str, Any], field: str, hidden: str) -> None:
    content = approval["content"] | {field: f"a{hidden}Bcc: thief@sample.test"}
    problem = problem_of(decide(api, approval, "edit", content=content), 422)
    (error,) = problem["errors"]
    assert error["field"] == f"content.{field}" and f"U+{ord(hidden):04X}" in error["message"]
    assert api.get(f"/approvals/{approval['id']}").json() == approval


@pytest.mark.parametrize("to", ["a@b.test, c@d.test", "Name <a@b.test>", "nobody"])
def test_an_edit_names_one_address(api: Api, approval: dict[str, Any], to: str) -> None:
    content = approval["content"] | {"to": to}
    problem = problem_of(decide(api, approval, "edit", content=content), 422)
    assert [error["field"] for error in problem["errors"]] == ["content.to"]


def test_what_cannot_stand_in_a_mail_is_not_approved_as_it_is(api: Api, approval: dict[str, Any]) -> None:
    """A team's own job type may ask about a content that nobody has checked."""
    content = approval["content"] | {"subject": "probe\u2028Bcc: thief@sample.test"}
    sha256 = canonical_sha256(content)
    Approval.objects.filter(pk=approval["id"]).update(content=content, content_sha256=sha256)

    problem = problem_of(decide(api, approval, "approve", content_sha256=sha256), 422)

    assert problem["errors"][0]["field"] == "content.subject" and "request changes" in problem["detail"]
    assert decide(api, approval, "reject", content_sha256=sha256, reason="Broken.").status_code == 200


def test_approvals_are_filtered_by_state(api: Api, approval: dict[str, Any]) -> None:
    assert api.get("/approvals", state="approved").json()["results"] == []
    problem_of(api.get("/approvals", state="open"), 400)
    problem_of(api.get("/approvals", task="17"), 400)


def test_texts_of_own_fields_are_edited_and_all_else_stays(api: Api, approval: dict[str, Any]) -> None:
    own = {"order": 17, "reason": "too late", "note": "first\nsecond", "empty": ""}
    asked = approval | {"content_sha256": canonical_sha256(own)}
    Approval.objects.filter(pk=approval["id"]).update(content=own, content_sha256=asked["content_sha256"])
    for content, field in (
        (own | {"order": 18, "note": "x"}, "content.order"), (own | {"note": " "}, "content.note"),
        (own | {"note": 5}, "content.note"), ({**own, "more": "x"}, "content"), ({"note": "x"}, "content"),
    ):  # fmt: skip
        problem = problem_of(decide(api, asked, "edit", content=content), 422)
        assert [error["field"] for error in problem["errors"]] == [field]

    edited = own | {"reason": "too early"}
    decided = decide(api, asked, "edit", content=edited).json()
    assert (decided["state"], decided["content"]) == ("approved", edited)
