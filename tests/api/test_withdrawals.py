"""POST /approvals/{id}/withdraw."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_django import Settings

from tests import harness
from tests.api.conftest import Api, problem_of
from tests.api.test_approvals import approval as approval
from tests.api.test_approvals import decide

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
