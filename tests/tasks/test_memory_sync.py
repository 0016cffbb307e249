"""memory_sync: what customers have said of themselves is kept, once, and what was erased stays away. [C8]"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pytest_django import Settings

from agentapp.lifecycle import database
from agentapp.lifecycle import memories as moves
from agentapp.lifecycle.memories import Fact
from agentapp.models import ApiKey, Job, Memory, MemoryChange, ModelCall, Tenant, Workflow
from agentapp.runtime import runner
from agentapp.services import memories, replies, workflows
from agentapp.services.principals import Principal
from tests.harness import be_a_worker, drain, run_workflow
from tests.offline_model.process import OfflineModel

pytestmark = pytest.mark.django_db(transaction=True)
ADA, BOB = "ada@sample.test", "bob@sample.test"
BODY = "How do I export my data? We use the plan for schools."
SAID = "The customer says: We use the plan for schools."


@pytest.fixture(autouse=True)
def model(provider: OfflineModel) -> OfflineModel:
    return provider


def finished(tenant: Tenant, body: str = BODY, about: str = ADA, *, hours_ago: float = 1, **more: Any) -> Workflow:
    """A task of the customer that is over; what it did does not matter here."""
    at = database.now() - timedelta(hours=hours_ago)
    return Workflow.objects.create(
        tenant=tenant, kind="support_reply", state="completed", created_at=at, finished_at=at,
        input={"subject": "A question", "body": body, "customer_email": about}, **more,
    )  # fmt: skip


def sync(principal: Principal, **input: Any) -> dict[str, Any]:
    task = run_workflow(principal, "memory_sync", input)
    assert isinstance(task.result, dict), list(Job.objects.exclude(error=None).values_list("type", "error"))
    return task.result


def holding(about: str = ADA) -> list[str]:
    return sorted(Memory.objects.filter(about=about, valid_until=None).values_list("text", flat=True))


def test_what_customers_say_of_themselves_is_kept_with_its_task_and_untrusted(
    principal: Principal, tenant: Tenant, other_tenant: Tenant
) -> None:
    task = finished(tenant, about=ADA.upper())
    finished(tenant, "My name is Bob.", BOB)
    finished(other_tenant, "I am somebody else.")
    other = Workflow.objects.get(input__customer_email=BOB)
    replies.record(principal, other.pk, message_id="<1@x.test>", sender=BOB, text="I prefer mail.")

    told = sync(principal)

    assert (told["customers"], told["left"]) == (2, 0)
    kept = Memory.objects.get(about=ADA)
    assert (kept.text, kept.task_id, kept.is_untrusted, kept.written_by) == (SAID, task.pk, True, "sync_memory")
    assert kept.embedding_model and Memory.objects.filter(tenant=other_tenant).count() == 0
    assert holding(BOB) == ["The customer says: I prefer mail.", "The customer says: My name is Bob."]


def test_what_somebody_else_replies_is_nothing_that_the_customer_has_said(principal: Principal, tenant: Tenant) -> None:
    task = finished(tenant, "A question.")
    for number, sender in enumerate(("mallory@sample.test", f" {ADA.upper()}")):
        replies.record(
            principal, task.pk, message_id=f"<{number}@x.test>", sender=sender, text=f"I am {sender.strip()}."
        )

    sync(principal)

    assert holding() == [f"The customer says: I am {ADA.upper()}."]


def test_many_tasks_of_a_customer_are_one_call_and_are_read_once(principal: Principal, tenant: Tenant) -> None:
    for number in range(10):
        finished(tenant, f"I am customer number {number}. {BODY}", hours_ago=20 - number)
    finished(tenant, "I am too new.", hours_ago=0)

    first, second, third = (sync(principal) for _ in range(3))

    assert ModelCall.objects.filter(is_embedding=False).count() == 2
    assert [told["customers"] for told in (first, second, third)] == [1, 1, 0]
    assert holding().count(SAID) == 1 and not any("too new" in text for text in holding())
    assert Job.objects.filter(type="extract_facts").count() == 2
    assert MemoryChange.objects.filter(action="read until").count() == 1


def test_a_contradiction_supersedes_but_not_what_a_person_has_confirmed(principal: Principal, tenant: Tenant) -> None:
    finished(tenant, "We use the plan for schools and museums.", hours_ago=3)
    sync(principal)
    finished(tenant, "We use the plan for schools and theatres.", hours_ago=2)
    sync(principal)

    old, new = Memory.objects.order_by("id")
    assert (old.fact_id, old.valid_until) == (new.fact_id, new.valid_from) and new.valid_until is None
    memories.correct(principal, new.pk, text=new.text)
    finished(tenant, "We use the plan for schools and zoos.", hours_ago=1)
    sync(principal)
    assert holding() == [f"The customer says: We use the plan for schools and {who}." for who in ("theatres", "zoos")]


@pytest.mark.parametrize("when", ["before the sync", "within the sync", "after the sync"])
def test_what_was_erased_does_not_come_back_from_an_old_task(when: str, principal: Principal, tenant: Tenant) -> None:
    if when == "before the sync":
        moves.write(Fact(tenant.pk, ADA, "Is called Ada.", "key:a", is_untrusted=False))
    finished(tenant)
    # It has begun when the facts are erased, and finishes afterwards.
    late = finished(tenant, "I am late.", hours_ago=2)

    def erase() -> None:
        memories.erase_about(principal, about=ADA)

    if when == "before the sync":
        erase()
    task = workflows.submit(principal, kind="memory_sync", input={})
    be_a_worker()
    while job := Job.objects.filter(workflow=task, state="available").first():
        if job.type == "sync_memory" and when == "within the sync":
            erase()
        runner.run(str(job.pk))
    if when == "after the sync":
        assert holding()
        erase()
    Workflow.objects.filter(pk=late.pk).update(finished_at=database.now() - timedelta(minutes=11))
    sync(principal)

    assert not Memory.objects.filter(about=ADA).exists()
    finished(tenant, "I am back.", hours_ago=0)
    Workflow.objects.filter(input__body="I am back.").update(finished_at=database.now() - timedelta(minutes=10))
    Workflow.objects.filter(input__body="I am back.").update(created_at=database.now())
    sync(principal)
    assert holding() == ["The customer says: I am back."]


def test_a_job_that_runs_again_after_it_has_kept_its_facts_keeps_none(principal: Principal, tenant: Tenant) -> None:
    finished(tenant)
    first = workflows.submit(principal, kind="memory_sync", input={})
    second = workflows.submit(principal, kind="memory_sync", input={})
    be_a_worker()
    # Both read the task before either keeps anything.
    for type in ("choose_customers", "extract_facts"):
        for job in Job.objects.filter(type=type):
            runner.run(str(job.pk))
    drain(first)
    drain(second)

    outputs = [Job.objects.get(workflow=task, type="sync_memory").output for task in (first, second)]
    assert outputs == [{"new": 1, "known": 0, "dropped": 0}, {"new": 0, "known": 0, "dropped": 1}]
    assert Memory.objects.count() == 1


def test_a_customer_of_whom_too_much_is_known_is_left_with_that(
    principal: Principal, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentapp.policies.facts.MOST_OF_ONE", 1)
    finished(tenant, "My name is Ada. I prefer mail.")

    assert sync(principal)["synced"] == [{"new": 1, "known": 0, "dropped": 1}]
    assert sync(principal)["customers"] == 0


def test_a_key_that_may_not_write_facts_reads_nothing(principal: Principal, tenant: Tenant) -> None:
    finished(tenant)
    ApiKey.objects.update(scopes=["tasks:write", "tasks:read", "memories:read"])

    task = run_workflow(principal, "memory_sync", {})

    error = Job.objects.get(workflow=task, state="dead_lettered").error or {}
    assert "memories:write" in error["message"] and not Memory.objects.exists()


def test_without_an_embedding_model_the_same_words_are_still_one(
    principal: Principal, tenant: Tenant, settings: Settings
) -> None:
    settings.AGENTAPP_EMBEDDING_URL = settings.AGENTAPP_EMBEDDING_MODEL = ""
    moves.write(Fact(tenant.pk, ADA, SAID.upper(), "key:a", is_untrusted=False))
    finished(tenant)

    assert sync(principal)["synced"][0]["dropped"] == 0
    assert holding() == [SAID.upper()]
