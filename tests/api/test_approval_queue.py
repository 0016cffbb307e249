"""Approvals that are withdrawn, claimed, released and snoozed over the API."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pytest_django import Settings

from agentapp.models import Approval, History, Tenant
from agentapp.services.principals import Principal
from tests import harness
from tests.api.conftest import Api, problem_of
from tests.api.test_approvals import approval as approval
from tests.api.test_approvals import decide
from tests.approvals.asking import ask, person

pytestmark = pytest.mark.django_db


@pytest.mark.usefixtures("clock")
def test_an_approval_is_withdrawn_before_its_mail_is_sent(
    api: Api, other_api: Api, approval: dict[str, Any], settings: Settings
) -> None:
    settings.AGENTAPP_SEND_HOLD_S = 10.0
    decided = decide(api, approval, "approve").json()
    assert decided["held_until"] == "2030-01-01T12:00:10.000000Z"
    task = api.get(f"/tasks/{approval['task']}").json()
    assert [(reason["type"], reason["until"]) for reason in task["blocked_by"]] == [("hold", decided["held_until"])]
    address = f"/approvals/{approval['id']}/withdraw"
    assert other_api.post(address, {}).status_code == 404

    again = api.post(address, {"reason": "a typing error"}).json()

    assert (again["state"], again["content"], again["held_until"]) == ("pending", approval["content"], None)
    assert api.post(address).json()["id"] == again["id"] != approval["id"]
    assert api.get(f"/approvals/{approval['id']}").json()["state"] == "reopened"


def test_what_was_sent_is_not_withdrawn(api: Api, approval: dict[str, Any]) -> None:
    assert decide(api, approval, "approve").json()["held_until"] is None
    harness.drain()

    problem = problem_of(api.post(f"/approvals/{approval['id']}/withdraw"), 409)

    assert "It was already sent at" in problem["detail"]


def test_an_approval_is_claimed_released_and_snoozed(api: Api, other_api: Api, approval: dict[str, Any]) -> None:
    path = f"/approvals/{approval['id']}"
    claimed = api.post(f"{path}/claim", {}).json()
    assert claimed["claimed_by"].startswith("key:") and claimed["claimed_until"]
    assert [len(api.get("/approvals", assigned_to=whom).json()["results"]) for whom in ("me", "nobody")] == [1, 0]
    assert api.post(f"{path}/release").json()["claimed_by"] is None
    assert problem_of(api.post(f"{path}/snooze", {"until": "2020-01-01T00:00:00Z"}), 422)
    assert other_api.post(f"{path}/claim", {}).status_code == 404

    later = datetime.now(UTC) + timedelta(days=1)
    assert api.post(f"{path}/snooze", {"until": later.isoformat()}).json()["snoozed_until"]

    assert api.get("/approvals", state="pending").json()["results"] == []
    for query in ({"snoozed": "true"}, {"task": approval["task"]}):
        assert len(api.get("/approvals", **query).json()["results"]) == 1
    assert api.post(f"{path}/snooze", {"until": None}).json()["snoozed_until"] is None


def test_an_approval_is_assigned_to_a_person_who_may_decide_it(
    api: Api, approval: dict[str, Any], tenant: Tenant, other_tenant: Tenant
) -> None:
    address = f"/approvals/{approval['id']}/claim"
    person("anna", tenant), person("far", other_tenant)
    assert api.post(address, {}).json()["claimed_by"].startswith("key:")
    for name in ("far", "nobody", "x\u0000"):
        problem_of(api.post(address, {"person": name}), 422)
    assert api.post(address, {"person": "anna"}).json()["claimed_by"] == "user:anna"
    # Again only prolongs it.
    assert api.post(address, {"person": "anna"}).status_code == 200
    Approval.objects.filter(pk=approval["id"]).update(policy={"name": "p", "approvers": ["finance"]})
    problem_of(api.post(address, {"person": "anna"}), 403)
    rows = History.objects.filter(approval_id=approval["id"]).order_by("seq").values_list("reason", flat=True)
    assert list(rows)[1:] == ["claimed", "assigned to anna"]


def test_at_high_risk_a_key_names_the_content_in_its_request(principal: Principal, api: Api) -> None:
    approval = ask(principal, risk="high")
    address = f"/approvals/{approval.pk}/decision"
    assert api.post(address, {"decision": "approve"}).status_code == 422
    assert api.post(address, {"decision": "approve", "content_sha256": "0" * 64}).status_code == 409
    sent = {"decision": "approve", "content_sha256": approval.content_sha256}
    assert api.post(address, sent).json()["state"] == "approved"
