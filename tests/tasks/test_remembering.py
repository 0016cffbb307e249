"""A reply knows what is remembered of its customer, and nothing of others."""

from __future__ import annotations

from typing import Any

import pytest

from agentapp.admin import evidence
from agentapp.lifecycle import memories as moves
from agentapp.lifecycle.memories import Fact
from agentapp.models import ApiKey, Job, Memory, Tenant, Workflow
from agentapp.retrieval import memories
from agentapp.services import api_keys, embeddings, forks, principals
from agentapp.services import memories as service
from agentapp.services.principals import Principal
from tests.harness import drain, run_workflow
from tests.offline_model.process import OfflineModel
from tests.tasks.test_support_reply import ONE_PART, outputs, pending

pytestmark = pytest.mark.django_db(transaction=True)
CUSTOMER = "customer@sample.test"
FACT = "The password of this sample customer is reset by post only."


def remember(tenant: Tenant, text: str, about: str = CUSTOMER, *, untrusted: bool = True) -> Memory:
    return moves.write(Fact(tenant.pk, about, text, "sync_memory", is_untrusted=untrusted))[0]


def known(workflow: Any) -> list[str]:
    return [source["text"] for source in pending(workflow).sources if source["source"] == memories.SOURCE]


def test_a_reply_to_a_customer_cites_what_is_remembered_of_them_alone(
    principal: Principal, tenant: Tenant, other_tenant: Tenant, agent_model: OfflineModel
) -> None:
    remember(tenant, FACT)
    remember(tenant, "The password of another sample customer is unspoken.", "other@sample.test")
    remember(other_tenant, "The password of this sample customer is unspoken.")

    workflow = run_workflow(principal, "support_reply", ONE_PART | {"customer_email": CUSTOMER.upper()})

    read = [part for part in outputs(workflow, "retrieve_context") if "memories_id" in part]
    assert len(read) == 1 and read[0]["source"] == "documents"
    assert known(workflow) == [FACT]
    assert "unspoken" not in str(pending(workflow).sources) + str(pending(workflow).content)


def test_an_approval_says_which_facts_somebody_has_vouched_for(
    principal: Principal, tenant: Tenant, agent_model: OfflineModel
) -> None:
    remember(tenant, FACT)
    workflow = run_workflow(principal, "support_reply", ONE_PART)
    vouched = remember(tenant, FACT, untrusted=False)
    again = run_workflow(principal, "support_reply", ONE_PART)

    cited = [source for task in (workflow, again) for source in pending(task).sources if source["source"] == "memories"]
    assert not vouched.is_untrusted and [source.get("trusted", False) for source in cited] == [False, True]
    assert evidence.source(cited[0])["origin"] == "memories, read from a text of others"
    assert evidence.source(cited[1])["origin"] == "memories"


def test_without_facts_and_without_the_scope_nothing_is_read(
    principal: Principal, tenant: Tenant, agent_model: OfflineModel
) -> None:
    before = run_workflow(principal, "support_reply", ONE_PART)
    remember(tenant, FACT)
    ApiKey.objects.update(scopes=["tasks:write", "tasks:read"])
    after = run_workflow(principal, "support_reply", ONE_PART)

    for workflow in (before, after):
        assert not any("memories_id" in part for part in outputs(workflow, "retrieve_context"))


def test_an_erased_and_a_superseded_fact_are_not_found(tenant: Tenant, agent_model: OfflineModel) -> None:
    def found() -> list[str]:
        asked = memories.search(
            tenant.pk, "Which password?", about=CUSTOMER, limit=5, embed=embeddings.of_tenant(tenant.pk)
        )
        return [passage.text for passage in asked]

    writer = Principal(frozenset({"memories:write"}), frozenset({tenant.pk}))
    memory, _ = service.write(writer, about=CUSTOMER, text="Has lost the password once.")
    assert memory.embedding_model and found() == ["Has lost the password once."]
    corrected = service.correct(writer, memory.pk, text="Has lost the password twice.")
    assert found() == ["Has lost the password twice."]
    service.erase(writer, corrected.pk)
    assert found() == [] and not Memory.objects.exists()


def forked(principal: Principal, origin: Workflow, stage: str, email: str = CUSTOMER) -> Workflow:
    fork = forks.fork(principal, origin.pk, from_stage=stage, input=ONE_PART | {"customer_email": email})
    drain(fork)
    return Workflow.objects.get(pk=fork.pk)


def test_a_fork_to_somebody_else_does_not_know_what_is_remembered_of_the_first(
    principal: Principal, tenant: Tenant, agent_model: OfflineModel
) -> None:
    remember(tenant, FACT)
    origin = run_workflow(principal, "support_reply", ONE_PART)
    assert known(origin) == [FACT]

    again, other = (forked(principal, origin, "generate_draft", email) for email in (CUSTOMER.title(), "b@sample.test"))

    assert known(again) == [FACT]
    assert other.state == "awaiting_approval" and known(other) == []
    assert FACT not in str(pending(other).content)


@pytest.mark.parametrize("stage", ["evaluate_answer", "request_approval"])
def test_a_draft_with_facts_about_one_customer_is_not_approved_for_another(
    stage: str, principal: Principal, tenant: Tenant, agent_model: OfflineModel
) -> None:
    remember(tenant, FACT)
    origin = run_workflow(principal, "support_reply", ONE_PART)

    again, other = (forked(principal, origin, stage, email) for email in (CUSTOMER, "b@sample.test"))

    assert known(again) == [FACT]
    error = Job.objects.get(workflow=other, state="dead_lettered").error or {}
    assert other.state == "needs_attention" and "another customer" in error["message"]


def test_a_fork_of_a_key_that_may_not_read_facts_has_none(
    principal: Principal, tenant: Tenant, agent_model: OfflineModel
) -> None:
    remember(tenant, FACT)
    origin = run_workflow(principal, "support_reply", ONE_PART)
    key, _ = api_keys.create(tenant=tenant, name="narrow", scopes=["tasks:write", "tasks:read", "documents:read"])

    assert known(forked(principals.of_key(key), origin, "generate_draft")) == []
