"""Runs from submission to result, through the same runner that workers use."""

from __future__ import annotations

from functools import partial

import pytest

from agentapp.errors import IllegalMove, LostLease
from agentapp.lifecycle import lose
from agentapp.lifecycle.claim import claim
from agentapp.lifecycle.complete import complete
from agentapp.lifecycle.opened import Claimed, Refused
from agentapp.models import Approval, Attempt, Effect, Job, Stage, Workflow
from agentapp.services import approvals, dead_letters, workflows
from agentapp.services.principals import Principal
from tests.harness import drain, histories_are_legal, make_due, path, run_workflow

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_fan_out_joins_and_the_result_is_bound(principal: Principal) -> None:
    workflow = run_workflow(principal, "probe_fan", {"parts": [1, 2, 3, 4]})
    assert workflow.state == "completed"
    assert workflow.result == {"sum": 20, "text": "HELLO"}
    assert (workflow.priority, workflow.risk) == (1, "high")
    assert (workflow.jobs_done, workflow.jobs_total) == (6, 6)
    assert histories_are_legal()


def test_an_empty_fan_out_is_passed_over(principal: Principal) -> None:
    assert run_workflow(principal, "probe_fan", {"parts": []}).result == {"sum": 0, "text": "HELLO"}


def test_a_loop_goes_round_until_its_verdict(principal: Principal) -> None:
    workflow = run_workflow(principal, "probe_loop")
    assert workflow.result == {"seen": 3}
    assert workflow.stages_total == 3
    assert list(Stage.objects.filter(workflow=workflow).order_by("position").values_list("round", flat=True)) == [
        0,
        1,
        2,
    ]
    assert histories_are_legal()


def test_a_failure_for_good_is_a_dead_letter_and_is_replayed(principal: Principal) -> None:
    workflow = run_workflow(principal, "probe_fan", {"fail": "permanent"})
    assert workflow.state == "needs_attention"
    (job,) = dead_letters.listing(principal)
    dead_letters.replay(principal, job.pk, payload={"text": "fixed"})
    drain()
    workflow.refresh_from_db()
    assert (workflow.state, (workflow.result or {})["text"]) == ("completed", "FIXED")
    assert path(job) == "available > running > dead_lettered > available > running > completed"
    assert histories_are_legal()


def test_a_transient_failure_is_tried_again_when_it_is_due(principal: Principal, clock) -> None:
    workflow = run_workflow(principal, "probe_fan", {"fail": "transient"})
    job = Job.objects.get(workflow=workflow, type="probe_first")
    assert (job.state, job.attempt) == ("retryable", 1)
    make_due(clock, 9)
    assert Job.objects.get(pk=job.pk).state == "retryable"
    make_due(clock, 3)
    drain()
    job.refresh_from_db()
    assert (job.state, job.attempt, Attempt.objects.filter(job=job).count()) == ("dead_lettered", 2, 2)
    assert histories_are_legal()


@pytest.mark.parametrize(
    ("rule", "state"), [("all", "needs_attention"), ("settled", "completed"), ("at_least", "needs_attention")]
)
def test_join_rules_say_what_a_dead_part_means(principal: Principal, rule: str, state: str) -> None:
    workflow = run_workflow(principal, f"probe_{rule}", {"fail": "permanent"})
    assert workflow.state == state
    assert histories_are_legal()


def test_at_least_n_opens_early_and_late_parts_change_nothing(principal: Principal) -> None:
    workflow = workflows.submit(principal, kind="probe_at_least", input={"parts": [1, 2, 3]})
    drain(workflow)
    workflow.refresh_from_db()
    assert (workflow.state, workflow.result) == ("completed", {"sum": 6})
    assert Job.objects.filter(workflow=workflow, type="probe_sum").count() == 1


def test_a_worker_that_lost_its_lease_cannot_complete_the_job(principal: Principal, clock) -> None:
    workflow = workflows.submit(principal, kind="probe_loop", input={})
    job = Job.objects.get(workflow=workflow)
    slow = claim(str(job.pk), worker="slow", queues=["model"], lease_s=15)
    assert isinstance(slow, Claimed)
    clock.advance(16)
    (expired,) = lose.expired()
    assert lose.lose(expired, actor="dispatcher") is not None
    with pytest.raises(LostLease):
        complete(slow, {"seen": 9, "verdict": "pass"}, worker="slow")
    assert path(job) == "available > running > available"
    assert Attempt.objects.get(job=job).outcome == "lost"


def test_settling_again_after_a_lost_answer_is_success(principal: Principal) -> None:
    workflow = workflows.submit(principal, kind="probe_loop", input={})
    job = claim(str(Job.objects.get(workflow=workflow).pk), worker="w", queues=["model"], lease_s=15)
    assert isinstance(job, Claimed)
    complete(job, {"seen": 3, "verdict": "pass"}, worker="w")
    complete(job, {"seen": 3, "verdict": "pass"}, worker="w")
    assert Workflow.objects.get(pk=workflow.pk).jobs_done == 1


def test_messages_that_are_late_repeated_or_forged_are_refused_in_a_word(principal: Principal) -> None:
    workflow = workflows.submit(principal, kind="probe_fan", input={})
    first = Job.objects.get(workflow=workflow, type="probe_first")
    later = Job.objects.get(workflow=workflow, type="probe_sum")
    take = partial(claim, worker="w", lease_s=15)
    assert take(str(first.pk), queues=["send"]) == Refused("not of this worker class")
    assert take(str(later.pk), queues=["model"]) == Refused("pending")
    assert take("00000000-0000-7000-8000-000000000000", queues=["model"]) == Refused("unknown")
    assert isinstance(take(str(first.pk), queues=["model"]), Claimed)
    assert take(str(first.pk), queues=["model"]) == Refused("running")


def test_a_revoked_key_stops_its_tasks(principal: Principal) -> None:
    from agentapp.services import api_keys

    workflow = workflows.submit(principal, kind="probe_fan", input={})
    assert principal.api_key is not None
    api_keys.revoke(principal.api_key)
    drain(workflow)
    workflow.refresh_from_db()
    job = Job.objects.get(workflow=workflow, type="probe_first")
    assert (workflow.state, job.state, job.attempt) == ("needs_attention", "dead_lettered", 0)
    assert (job.error or {})["kind"] == "permission"
    assert histories_are_legal()


def test_approve_sends_once_under_the_effect_key(principal: Principal) -> None:
    workflow = run_workflow(principal, "probe_decision")
    assert workflow.state == "awaiting_approval"
    (approval,) = approvals.listing(principal)
    approvals.decide(principal, approval.pk, decision="approve", content_sha256=approval.content_sha256)
    drain()
    workflow.refresh_from_db()
    assert (workflow.state, workflow.result) == ("completed", {"outcome": "sent"})
    effect = Effect.objects.get()
    assert (effect.state, effect.sends) == ("confirmed", 1)
    assert histories_are_legal()


def test_the_second_decision_is_told_so(principal: Principal) -> None:
    run_workflow(principal, "probe_decision")
    (approval,) = approvals.listing(principal)
    with pytest.raises(IllegalMove, match="changed"):
        approvals.decide(principal, approval.pk, decision="approve", content_sha256="0" * 64)
    approvals.decide(principal, approval.pk, decision="approve", content_sha256=approval.content_sha256)
    with pytest.raises(IllegalMove, match="already approved"):
        approvals.decide(
            principal, approval.pk, decision="reject", reason="late", content_sha256=approval.content_sha256
        )


def test_request_changes_goes_back_and_asks_again(principal: Principal) -> None:
    workflow = run_workflow(principal, "probe_decision")
    (approval,) = approvals.listing(principal)
    approvals.decide(
        principal, approval.pk, decision="request_changes", reason="shorter", content_sha256=approval.content_sha256
    )
    drain()
    workflow.refresh_from_db()
    assert workflow.state == "awaiting_approval"
    assert Approval.objects.filter(state="pending").count() == 1
    assert histories_are_legal()


def test_reject_ends_the_task_as_completed(principal: Principal) -> None:
    workflow = run_workflow(principal, "probe_decision")
    (approval,) = approvals.listing(principal)
    approvals.decide(principal, approval.pk, decision="reject", reason="no", content_sha256=approval.content_sha256)
    workflow.refresh_from_db()
    assert (workflow.state, workflow.result) == ("completed", {"outcome": "rejected", "reason": "no"})
    assert histories_are_legal()


# The last one is a field of a package, which the approval was not asked with.
@pytest.mark.parametrize("field", ["body", "to", "subject", "invoice"])
def test_a_changed_byte_or_recipient_opens_the_approval_again(principal: Principal, field: str) -> None:
    workflow = run_workflow(principal, "probe_decision")
    (approval,) = approvals.listing(principal)
    approvals.decide(principal, approval.pk, decision="approve", content_sha256=approval.content_sha256)
    approval.refresh_from_db()
    Approval.objects.filter(pk=approval.pk).update(content=approval.content | {field: "someone-else@sample.test"})
    drain()
    workflow.refresh_from_db()
    assert workflow.state == "awaiting_approval"
    assert not Effect.objects.exists()
    again = Approval.objects.get(state="pending")
    approvals.decide(principal, again.pk, decision="approve", content_sha256=again.content_sha256)
    drain()
    workflow.refresh_from_db()
    assert (workflow.state, Effect.objects.count()) == ("completed", 1)
    assert histories_are_legal()


def test_cancel_ends_what_waits_and_what_runs(principal: Principal) -> None:
    workflow = workflows.submit(principal, kind="probe_fan", input={})
    running = claim(
        str(Job.objects.get(workflow=workflow, type="probe_first").pk), worker="w", queues=["model"], lease_s=15
    )
    assert isinstance(running, Claimed)
    workflows.cancel(principal, workflow.pk, reason="no longer needed")
    assert not Job.objects.filter(workflow=workflow).exclude(state="cancelled").exists()
    with pytest.raises(LostLease):
        complete(running, {"text": "late"}, worker="w")
    with pytest.raises(IllegalMove):
        workflows.cancel(principal, workflow.pk, reason="again")
    assert histories_are_legal()


def test_another_tenants_rows_are_not_there(principal: Principal, other_principal: Principal) -> None:
    from agentapp.errors import NotFound

    workflow = run_workflow(principal, "probe_decision")
    (approval,) = approvals.listing(principal)
    assert not workflows.listing(other_principal).exists()
    for look in (
        lambda: workflows.get(other_principal, workflow.pk),
        lambda: approvals.get(other_principal, approval.pk),
    ):
        with pytest.raises(NotFound):
            look()
