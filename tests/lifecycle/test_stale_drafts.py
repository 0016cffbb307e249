"""A draft whose sources have changed is written again, unless a person was there before. [C10]"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F

from agentapp import clock
from agentapp.errors import IllegalMove, LostLease, PermissionDenied
from agentapp.ids import uuid7
from agentapp.lifecycle import lose, refresh_draft
from agentapp.lifecycle.opened import Claimed
from agentapp.models import Approval, ApprovalPolicy, History, Job, Tenant, Workflow
from agentapp.services import approvals, assignments, workflows
from agentapp.services.principals import Principal
from tests.harness import drain, histories_are_legal
from tests.lifecycle.sourced import WITHOUT, asked, delete, found, passage, pending, refresh, refresher
from tests.lifecycle.sourced import sourced_kinds as sourced_kinds
from tests.lifecycle.test_locks import lease_runs_out, take

pytestmark = pytest.mark.django_db

COMES_BACK = "Sources that it cites are no longer as they were: [1] Prices was deleted."


def test_a_draft_goes_back_to_where_its_sources_are_read(principal: Principal, tenant: Tenant) -> None:
    source = passage(tenant)
    approval = asked(principal, source)
    approvals.decide(
        principal, approval.pk, decision="request_changes", content_sha256=approval.content_sha256, reason="Be kind."
    )
    second = pending(approval)
    job = refresher(principal)
    delete(source)

    assert refresh(job, second) == "ok"

    second.refresh_from_db()
    assert (second.state, second.reason, second.refreshed_by) == ("changes_requested", COMES_BACK, job.workflow_id)
    assert (second.decided_by_user, second.decided_by_key) == (None, None) and second.decided_at is not None
    told = History.objects.get(approval_id=second.pk, to_state="changes_requested")
    assert (told.actor, told.reason) == (f"task:{job.workflow_id}", COMES_BACK)
    third = pending(approval)
    way = Job.objects.filter(workflow_id=third.workflow_id).order_by("stage__position").values_list("type", flat=True)
    assert [*way] == ["probe_first", "probe_ask", "probe_ask", "probe_first", "probe_ask", "probe_tell"]
    # What a person has asked for still holds; what was written from the old sources is read by nobody.
    assert second.stage.output is not None and second.stage.output["remark"] == "Be kind."
    read = Job.objects.filter(workflow_id=third.workflow_id, type="probe_ask").order_by("stage__position")
    assert ["superseded" in job.stage.spec for job in read] == [True, True, False]
    assert third.sources == [source] and third.stage.position > second.stage.position
    approvals.decide(principal, third.pk, decision="approve", content_sha256=third.content_sha256)
    drain(Workflow.objects.get(pk=third.workflow_id))
    assert Workflow.objects.get(pk=third.workflow_id).state == "completed" and histories_are_legal()


def test_once_more_by_the_same_task_is_done_already(principal: Principal, tenant: Tenant) -> None:
    source = passage(tenant)
    approval = asked(principal, source)
    delete(source)
    job = refresher(principal)

    assert [refresh(job, approval), refresh(job, approval)] == ["ok", "ok"]
    assert refresh(refresher(principal), approval) == "decided"

    stages = Job.objects.filter(workflow_id=approval.workflow_id, type="probe_first")
    assert stages.count() == 2 and histories_are_legal()


def test_a_person_who_decides_on_the_old_draft_is_told_so(principal: Principal, tenant: Tenant) -> None:
    source = passage(tenant)
    approval = asked(principal, source)
    delete(source)
    assert refresh(refresher(principal), approval) == "ok"

    with pytest.raises(IllegalMove, match="already changes requested"):
        approvals.decide(principal, approval.pk, decision="approve", content_sha256=approval.content_sha256)


def claim(principal: Principal, approval: Approval) -> None:
    assignments.claim(principal, approval.pk)


def edit(principal: Principal, approval: Approval) -> None:
    Approval.objects.filter(pk=approval.pk).update(revision=F("revision") + 1)


def vote(principal: Principal, approval: Approval) -> None:
    approval.votes.create(
        revision=0, api_key=principal.api_key, decision="approved", content_sha256=approval.content_sha256,
        at=clock.now(),
    )  # fmt: skip


def reject(principal: Principal, approval: Approval) -> None:
    approvals.decide(principal, approval.pk, decision="reject", content_sha256=approval.content_sha256, reason="no")


def expire(principal: Principal, approval: Approval) -> None:
    Approval.objects.filter(pk=approval.pk).update(expires_at=clock.now() - timedelta(seconds=1))


def change(principal: Principal, approval: Approval) -> None:
    Approval.objects.filter(pk=approval.pk).update(content_sha256="f" * 64)


BEFORE = {
    "claimed": claim, "edited": edit, "voted for": vote, "decided": reject, "expired": expire, "changed": change,
}  # fmt: skip


@pytest.mark.parametrize("name", BEFORE)
def test_who_was_there_before_is_left_alone(principal: Principal, tenant: Tenant, name: str) -> None:
    source = passage(tenant)
    approval = asked(principal, source)
    delete(source)
    job = refresher(principal)

    BEFORE[name](principal, approval)

    assert refresh(job, approval) == {"changed": "edited"}.get(name, name)
    assert not Approval.objects.filter(refreshed_by__isnull=False).exists() and histories_are_legal()


def test_a_claim_that_has_lapsed_holds_nothing_up(principal: Principal, tenant: Tenant) -> None:
    source = passage(tenant)
    approval = asked(principal, source)
    assignments.claim(principal, approval.pk)
    Approval.objects.filter(pk=approval.pk).update(claimed_until=clock.now() - timedelta(seconds=1))
    delete(source)

    assert refresh(refresher(principal), approval) == "ok"


def test_a_plan_that_says_no_way_is_left_alone(principal: Principal, tenant: Tenant) -> None:
    source = passage(tenant)
    approval = asked(principal, source, kind=WITHOUT)
    delete(source)

    assert found(principal).stale == [] and refresh(refresher(principal), approval) == "no way back"


def test_what_is_no_mail_is_left_alone(principal: Principal, tenant: Tenant) -> None:
    source = passage(tenant)
    approval = asked(principal, source)
    delete(source)
    Approval.objects.filter(pk=approval.pk).update(content={"calls": []})

    assert refresh(refresher(principal), approval) == "no way back"


def test_a_draft_is_written_again_so_many_times_and_no_more(principal: Principal, tenant: Tenant) -> None:
    """Its sources stay gone: without a bound it would go round and round."""
    source = passage(tenant)
    approval = asked(principal, source)
    delete(source)

    for status in ("ok", "ok", "too often"):
        assert refresh(refresher(principal), pending(approval), most=2) == status

    assert Approval.objects.filter(workflow_id=approval.workflow_id).count() == 3


def test_a_task_whose_key_is_no_longer_valid_keeps_its_draft(
    principal: Principal, tenant: Tenant, admin_user: Any
) -> None:
    source = passage(tenant)
    approval = asked(principal, source)
    delete(source)
    job = refresher(principal)
    assert principal.api_key is not None
    principal.api_key.revoked_at = clock.now()
    principal.api_key.save()

    assert refresh(job, approval) == "denied"
    approval.refresh_from_db()
    assert approval.state == "pending"


def test_jobs_of_other_types_and_attempts_that_are_over_may_not(principal: Principal, tenant: Tenant) -> None:
    source = passage(tenant)
    approval = asked(principal, source)
    delete(source)
    other = take(Job.objects.get(workflow=workflows.submit(principal, kind="probe_fan", input={}), type="probe_first"))
    assert isinstance(other, Claimed)
    job = refresher(principal)

    with pytest.raises(PermissionDenied, match="probe_first may not"):
        refresh(other, approval)
    with pytest.raises(LostLease):
        refresh(replace(job, token=uuid7()), approval)
    lost = Job.objects.get(pk=job.id)
    lease_runs_out(lost)
    lose.lose(lost, actor="dispatcher", is_certain=True)
    with pytest.raises(LostLease):
        refresh(job, approval)
    approval.refresh_from_db()
    assert approval.state == "pending"


def test_approvals_are_looked_at_in_bounded_numbers(principal: Principal, tenant: Tenant) -> None:
    source, other = passage(tenant), passage(tenant)
    stale = [asked(principal, source), asked(principal, other), asked(principal, source)]
    delete(source)

    first = found(principal, limit=2)
    second = found(principal, after=first.last or refresh_draft.FIRST, limit=2)

    assert [(one.looked, [draft["id"] for draft in one.stale]) for one in (first, second)] == [
        (2, [str(stale[0].pk)]), (1, [str(stale[2].pk)]),
    ]  # fmt: skip
    assert (first.last, second.last) == (stale[1].pk, None)


def test_a_person_sees_what_a_sample_would_have_let_pass(principal: Principal, tenant: Tenant) -> None:
    """A draft that somebody was to see is not sent unseen because it was written again."""
    source = passage(tenant)
    approval = asked(principal, source)
    delete(source)
    ApprovalPolicy.objects.create(name="all pass", sample_percent=0)

    assert refresh(refresher(principal), approval) == "ok"

    assert pending(approval).state == "pending"
