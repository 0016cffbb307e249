"""evaluation_sample: finished drafts are judged again, beside what people decided about them. [C10]"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

import pytest
from pytest_django import Settings

from agentapp import clock
from agentapp.errors import InvalidInput
from agentapp.lifecycle.opened import Claimed
from agentapp.models import Approval, Artifact, Job, Tenant, Workflow
from agentapp.policies.permissions import API_SCOPES
from agentapp.runtime import judged
from agentapp.services import api_keys, approvals, documents, forks, principals, workflows
from agentapp.services.principals import Principal
from tests.harness import drain, histories_are_legal, run_workflow
from tests.offline_model.process import OfflineModel

pytestmark = pytest.mark.django_db(transaction=True)

Json = dict[str, Any]
QUESTION = {"subject": "Password", "body": "How do I reset my password?", "customer_email": "customer@sample.test"}
Finish = Callable[..., Workflow]


@pytest.fixture
def finish(principal: Principal, provider: OfflineModel, settings: Settings) -> Finish:
    """Run a task to its approval and decide it; without a decision it stays there."""
    settings.AGENTAPP_EMBEDDING_URL = settings.AGENTAPP_EMBEDDING_MODEL = ""
    documents.load(
        principal, source="password.md", title="Passwords", text="# Passwords\n\nTo reset your password open Settings."
    )

    def run(decision: str = "", **more: Any) -> Workflow:
        task = run_workflow(principal, "support_reply", QUESTION)
        if decision:
            approval = Approval.objects.get(workflow=task, state="pending")
            approvals.decide(principal, approval.pk, decision=decision, content_sha256=approval.content_sha256, **more)
            drain(task)
        return Workflow.objects.get(pk=task.pk)

    return run


def edited(task: Workflow) -> Json:
    return {**Approval.objects.get(workflow=task).content, "body": "Written by hand."}


def also_asked(task: Workflow) -> None:
    """A tool of the task and one of its jobs asked later, and a person said no: that says nothing of the draft."""
    draft = Approval.objects.get(workflow=task)
    rejected = {
        "workflow": task,
        "stage": draft.stage,
        "tenant": task.tenant,
        "state": "rejected",
        "created_at": clock.now(),
    }
    for job, content in ((None, {"calls": []}), (Job.objects.filter(workflow=task).first(), {"body": "?"})):
        Approval.objects.create(
            job=job, content=content, draft=content, content_sha256="0" * 64, **rejected,
            answered_at=clock.now() if job else None,
        )  # fmt: skip


def judge(principal: Principal, **input: Any) -> Json:
    task = run_workflow(principal, "evaluation_sample", input)
    assert task.state == "completed", list(Job.objects.exclude(error=None).values_list("type", "error"))
    assert isinstance(task.result, dict)
    return task.result


def judges_from_now_on(provider: OfflineModel, score: float) -> None:
    """The model finds every draft this good."""
    verdict = json.dumps({"score": score, "grounded": True, "complete": True, "critique": "."})
    choice = {"index": 0, "message": {"role": "assistant", "content": verdict}, "finish_reason": "stop"}
    body = {"id": "chatcmpl-1", "object": "chat.completion", "created": 0, "model": "another", "choices": [choice]}
    provider.fail("status", status=200, body=body, match={"schema_name": "evaluation"}, times=None)


def test_scores_of_today_stand_beside_those_of_then_and_what_people_decided(
    principal: Principal, finish: Finish, provider: OfflineModel
) -> None:
    also_asked(finish("approve"))
    again = finish()
    approval = Approval.objects.get(workflow=again)
    approvals.decide(
        principal, approval.pk, decision="edit", content_sha256=approval.content_sha256, content=edited(again)
    )
    drain(again)
    rejected = finish("reject", reason="It is wrong.")
    finish()

    told = judge(principal)

    assert (told["outcome"], told["drift"]) == ("steady", 0.0)
    assert told["tasks"] == {"found": 3, "chosen": 3, "judged": 3, "scored": 3}
    assert {name: each["count"] for name, each in told["scores"].items()} == {
        "all": 3, "approved": 1, "edited": 1, "rejected": 1,
    }  # fmt: skip
    assert (told["disagreements"], told["disagreement_count"]) == ([str(rejected.pk)], 1)
    before, now = told["judged_by"]["before"], told["judged_by"]["now"]
    assert before == now and len(now["prompts"]) == 2 and now["models"]
    assert histories_are_legal()


def test_scores_that_have_moved_are_a_drift(principal: Principal, finish: Finish, provider: OfflineModel) -> None:
    approved = finish("approve")
    judges_from_now_on(provider, 0.1)

    told = judge(principal, tolerance=0.3)

    assert told["outcome"] == "drifted" and told["drift"] == pytest.approx(0.1 - told["scores"]["all"]["before"])
    assert told["disagreements"] == [str(approved.pk)]
    assert told["judged_by"]["now"]["models"] == ["another"] != told["judged_by"]["before"]["models"]
    assert judge(principal, tolerance=1)["outcome"] == "steady"


def test_so_many_are_chosen_by_lot_within_the_time(principal: Principal, finish: Finish, other_tenant: Tenant) -> None:
    tasks = [finish("reject", reason="no") for _ in range(4)]
    Workflow.objects.filter(pk=tasks[0].pk).update(finished_at=clock.now() - timedelta(hours=3))
    assert judge(principal, hours=2)["tasks"]["found"] == 3
    assert judge(principal, hours=4)["tasks"]["found"] == 4
    assert judge(principal, size=2)["tasks"] == {"found": 4, "chosen": 2, "judged": 2, "scored": 2}
    key, _ = api_keys.create(tenant=other_tenant, name="other", scopes=list(API_SCOPES))
    elsewhere = judge(principals.of_key(key))
    assert (elsewhere["outcome"], elsewhere["drift"]) == ("nothing to judge", None)
    assert elsewhere["tasks"] == {"found": 0, "chosen": 0, "judged": 0, "scored": 0}


def test_the_next_attempt_chooses_the_same(principal: Principal, finish: Finish) -> None:
    chosen = {finish("reject", reason="no").pk for _ in range(3)}
    task = run_workflow(principal, "evaluation_sample", {})
    job = cast(Claimed, Job.objects.get(workflow=task, type="choose_sample"))
    first = judged.sample(job, kind="support_reply", by="evaluate_answer", hours=1, most=2)

    assert first == judged.sample(job, kind="support_reply", by="evaluate_answer", hours=1, most=2)
    assert {case.task for case in first.cases} < chosen


def test_a_task_whose_draft_is_gone_is_left_out(principal: Principal, finish: Finish) -> None:
    finish("approve")
    gone = finish("approve")
    Artifact.objects.filter(workflow=gone).delete()

    told = judge(principal)

    assert told["tasks"] == {"found": 2, "chosen": 2, "judged": 2, "scored": 1}
    assert Job.objects.filter(type="rescore_answer", state="dead_lettered").count() == 1


def test_a_key_that_reads_no_tasks_judges_none(principal: Principal, finish: Finish, tenant: Tenant) -> None:
    finish("approve")
    key, _ = api_keys.create(tenant=tenant, name="writer", scopes=["tasks:write"])

    task = run_workflow(principals.of_key(key), "evaluation_sample", {})

    assert task.state == "needs_attention"
    error = Job.objects.get(workflow=task, type="choose_sample").error or {}
    assert error["kind"] == "permission"


@pytest.mark.parametrize("kind", ["agent", "nothing"])
def test_a_kind_that_is_not_judged_is_refused(principal: Principal, kind: str) -> None:
    with pytest.raises(InvalidInput, match="evaluate_answer"):
        workflows.submit(principal, kind="evaluation_sample", input={"kind": kind})


def test_what_a_person_entered_in_the_place_of_a_score_is_left_out(principal: Principal, finish: Finish) -> None:
    finish("approve")
    task = run_workflow(principal, "evaluation_sample", {})
    scored = Job.objects.get(workflow=task, type="rescore_answer")
    whole = scored.output or {}
    left_out: list[Json] = [{"now": "0.5"}, {"now": None}, {"before": True}, {"task": 1}, {"now": 7}]

    for entered in ({}, *(whole | odd for odd in left_out), whole | {"note": "by hand"}):
        Job.objects.filter(pk=scored.pk).update(output=entered)
        fork = forks.fork(principal, task.pk, from_stage="compare_scores")
        drain(fork)
        told = Workflow.objects.get(pk=fork.pk).result or {}
        assert told["tasks"]["scored"] == (1 if "note" in entered else 0), entered
