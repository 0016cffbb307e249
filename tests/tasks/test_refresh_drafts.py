"""refresh_stale_drafts: drafts that cite what has changed are written again from what is there now. [C10]"""

from __future__ import annotations

import json
from typing import Any

import pytest
from pytest_django import Settings

from agentapp.errors import PermissionDenied
from agentapp.lifecycle import checkpoint, lose, refresh_draft
from agentapp.lifecycle.opened import Claimed
from agentapp.models import ApiKey, Approval, Job, Schedule, Tenant, Workflow
from agentapp.policies.permissions import API_SCOPES
from agentapp.services import api_keys, documents, principals, schedules, workflows
from agentapp.services.principals import Principal
from tasks import refresh_drafts
from tests.harness import drain, histories_are_legal, run_workflow
from tests.lifecycle.test_locks import lease_runs_out, take
from tests.offline_model.process import OfflineModel

pytestmark = pytest.mark.django_db(transaction=True)

QUESTION = {"subject": "Password", "body": "How do I reset my password?", "customer_email": "customer@sample.test"}
BEFORE, NOW = "To reset your password open Settings.", "To reset your password write to the support team."


@pytest.fixture(autouse=True)
def _by_words(provider: OfflineModel, settings: Settings) -> None:
    settings.AGENTAPP_EMBEDDING_URL = settings.AGENTAPP_EMBEDDING_MODEL = ""


def load(principal: Principal, text: str) -> None:
    documents.load(principal, source="password.md", title="Passwords", text=f"# Passwords\n\n{text}")


def drafted(principal: Principal) -> Workflow:
    """A task whose draft waits for a person and cites the page about passwords."""
    task = run_workflow(principal, "support_reply", QUESTION)
    (source,) = pending(task).sources
    assert {"id", "document", "sha256"} <= set(source)
    return task


def pending(task: Workflow) -> Approval:
    return Approval.objects.get(workflow=task, state="pending")


def refreshed(principal: Principal, **input: Any) -> dict[str, Any]:
    """Run the kind, and what it has sent back."""
    task = run_workflow(principal, "refresh_stale_drafts", input)
    drain()
    assert task.state == "completed", list(Job.objects.exclude(error=None).values_list("type", "error"))
    assert isinstance(task.result, dict)
    return task.result


def test_a_draft_is_written_from_the_text_of_now_and_nothing_of_the_old_one(
    principal: Principal, provider: OfflineModel
) -> None:
    load(principal, BEFORE)
    task = drafted(principal)
    assert BEFORE.rstrip(".") in pending(task).content["body"]
    assert refreshed(principal) == {"looked": 1, "stale": 0, "refreshed": 0, "left": {}}
    load(principal, NOW)
    asked = len(provider.requests())

    assert refreshed(principal) == {"looked": 1, "stale": 1, "refreshed": 1, "left": {}}

    body = pending(task).content["body"]
    assert NOW.rstrip(".") in body and "open Settings" not in body
    later = json.dumps([request["body"] for request in provider.requests()[asked:]])
    assert "support team" in later and "open Settings" not in later
    reasons = Approval.objects.filter(workflow=task, refreshed_by__isnull=False).values_list("reason", flat=True)
    assert [*reasons] == ["Sources that it cites are no longer as they were: [1] Passwords was changed."]
    # Nothing has changed since: once more does nothing.
    assert refreshed(principal) == {"looked": 1, "stale": 0, "refreshed": 0, "left": {}}
    assert histories_are_legal()


def test_many_drafts_are_looked_at_in_parts_and_so_many_written_again(
    principal: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(principal, BEFORE)
    tasks = [drafted(principal) for _ in range(5)]
    load(principal, NOW)
    # Looks of two approvals; two looks of one job.
    monkeypatch.setattr(refresh_drafts, "AT_ONCE", 2)
    monkeypatch.setattr(refresh_drafts, "MOST", 4)

    assert refreshed(principal, size=2) == {"looked": 2, "stale": 2, "refreshed": 2, "left": {}}
    assert refreshed(principal) == {"looked": 5, "stale": 3, "refreshed": 3, "left": {}}

    assert all(NOW.rstrip(".") in pending(task).content["body"] for task in tasks)
    assert Job.objects.filter(type="refresh_drafts").count() == 3


def test_an_attempt_that_is_lost_in_the_middle_is_gone_on_with(principal: Principal) -> None:
    load(principal, BEFORE)
    first, second = drafted(principal), drafted(principal)
    load(principal, NOW)
    task = workflows.submit(principal, kind="refresh_stale_drafts", input={})
    job = Job.objects.get(workflow=task)
    claimed = take(job)
    assert isinstance(claimed, Claimed)
    # What the body does until its worker dies, behind the first of two drafts.
    found = refresh_draft.find(task.tenant_id, after=refresh_draft.FIRST, limit=100)
    done = {"looked": found.looked, "stale": 0, "refreshed": 0, "left": {}}
    checkpoint.save(claimed, {"done": done, "batch": found.stale, "last": None, "round": 100})
    assert refresh_draft.refresh(claimed, found.stale[0], most=3)[0] == "ok"
    lease_runs_out(job)
    lose.lose(Job.objects.get(pk=job.pk), actor="dispatcher", is_certain=True)

    drain()

    task.refresh_from_db()
    assert task.result == {"looked": 2, "stale": 2, "refreshed": 2, "left": {}}
    for reply in (first, second):
        assert [one.state for one in Approval.objects.filter(workflow=reply).order_by("id")] == [
            "changes_requested", "pending",
        ]  # fmt: skip
    assert histories_are_legal()


@pytest.mark.parametrize("missing", refresh_drafts.SCOPES)
def test_who_may_not_decide_or_read_refreshes_nothing(tenant: Tenant, principal: Principal, missing: str) -> None:
    load(principal, BEFORE)
    task = drafted(principal)
    load(principal, NOW)
    scopes = [scope for scope in API_SCOPES if scope != missing]
    key, _ = api_keys.create(tenant=tenant, name="less", scopes=list(API_SCOPES))
    run = workflows.submit(principals.of_key(key), kind="refresh_stale_drafts", input={})
    ApiKey.objects.filter(pk=key.pk).update(scopes=scopes)
    drain(run)

    error = Job.objects.get(workflow=run, state="dead_lettered").error or {}
    assert (error["class"], missing in error["message"]) == ("PermissionDenied", True)
    assert Approval.objects.get(workflow=task).state == "pending"


@pytest.mark.parametrize("missing", refresh_drafts.SCOPES)
def test_who_may_not_decide_or_read_cannot_submit_or_schedule_it(
    tenant: Tenant, principal: Principal, missing: str
) -> None:
    """It would be a dead letter at each time."""
    key, _ = api_keys.create(tenant=tenant, name="less", scopes=[scope for scope in API_SCOPES if scope != missing])
    less = principals.of_key(key)
    fields = {"name": "Refresh", "kind": "refresh_stale_drafts", "cron": "0 * * * *", "input": {}}
    made = schedules.create(principal, fields)

    with pytest.raises(PermissionDenied, match=f"This needs the scope {missing}"):
        workflows.submit(less, kind="refresh_stale_drafts", input={})
    with pytest.raises(PermissionDenied, match=f"This needs the scope {missing}"):
        schedules.create(less, fields | {"name": "Another"})
    # Who changes a schedule is the one that it acts for from then on.
    with pytest.raises(PermissionDenied, match=f"This needs the scope {missing}"):
        schedules.change(less, made.pk, {"cron": "5 * * * *"})
    assert not Workflow.objects.exists() and Schedule.objects.get().cron == "0 * * * *"


def test_a_schedule_starts_it(principal: Principal) -> None:
    load(principal, BEFORE)
    task = drafted(principal)
    load(principal, NOW)
    fields = {"name": "Refresh", "kind": "refresh_stale_drafts", "cron": "0 * * * *", "input": {"size": 10}}
    schedule = schedules.create(principal, fields)

    schedules.run(principal, schedule.pk)
    drain()

    assert Schedule.objects.count() == 1 and Approval.objects.filter(workflow=task).count() == 2
