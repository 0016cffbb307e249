"""What a tenant might reach of another by more than an address, which test_operations.py tries. (INV10)"""

from __future__ import annotations

from uuid import UUID

import pytest

from agentapp.models import Job, Workflow
from tests import harness
from tests.api.conftest import Api, problem_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def theirs(other_api: Api) -> dict[str, UUID]:
    """Return ids of the other tenant's records."""
    for kind, fields in (("probe_decision", {}), ("probe_fan", {"fail": "permanent"})):
        assert other_api.post("/tasks", {"kind": kind, "input": fields}).status_code == 202
    harness.drain()
    return {
        "task": Workflow.objects.earliest("id").pk,
        "job": Job.objects.earliest("id").pk,
        "letter": Job.objects.get(state="dead_lettered").pk,
    }


def test_a_foreign_dead_letter_is_not_replayed_from_a_stage(api: Api, theirs: dict[str, UUID]) -> None:
    problem_of(api.post(f"/dead-letters/{theirs['letter']}/replay", {"from_stage": "probe_first"}), 404)


def test_a_bulk_replay_takes_nothing_from_elsewhere(api: Api, other_api: Api, theirs: dict[str, UUID]) -> None:
    (group,) = other_api.get("/dead-letters/groups").json()["results"]
    for selection in ({"fingerprint": group["fingerprint"]}, {"type": "probe_first"}):
        problem_of(api.post("/dead-letters/replay", selection), 404)


def test_a_cursor_leads_nowhere_else(api: Api, other_api: Api, theirs: dict[str, UUID]) -> None:
    following = other_api.get("/tasks", limit="1").json()["next"]
    assert api.get(following).json() == {"results": [], "next": None}


def test_a_search_does_not_look_elsewhere(api: Api, other_api: Api, theirs: dict[str, UUID]) -> None:
    harness.index()
    assert other_api.get("/tasks", q="hello").json()["results"]
    assert api.get("/tasks", q="hello").json()["results"] == []
    assert api.get("/approvals", task=str(theirs["task"])).json()["results"] == []


def test_a_key_of_the_platform_opens_no_tenant(platform: Api, theirs: dict[str, UUID]) -> None:
    for path in ("/tasks", f"/tasks/{theirs['task']}", f"/jobs/{theirs['job']}", "/approvals", "/documents"):
        problem_of(platform.get(path), 403)
