"""A reply knows what is remembered of its customer, and nothing of others."""

from __future__ import annotations

from typing import Any

import pytest

from agentapp.lifecycle import memories as moves
from agentapp.lifecycle.memories import Fact
from agentapp.models import ApiKey, Memory, Tenant
from agentapp.retrieval import memories
from agentapp.services import memories as service
from agentapp.services.principals import Principal
from tests.harness import run_workflow
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
    principal: Principal, tenant: Tenant, other_tenant: Tenant, support_model: OfflineModel
) -> None:
    remember(tenant, FACT)
    remember(tenant, "The password of another sample customer is unspoken.", "other@sample.test")
    remember(other_tenant, "The password of this sample customer is unspoken.")

    workflow = run_workflow(principal, "support_reply", ONE_PART | {"customer_email": CUSTOMER.upper()})

    read = [part for part in outputs(workflow, "retrieve_context") if "memories_id" in part]
    assert len(read) == 1 and read[0]["source"] == "documents"
    assert known(workflow) == [FACT]
    assert "unspoken" not in str(pending(workflow).sources) + str(pending(workflow).content)


def test_without_facts_and_without_the_scope_nothing_is_read(
    principal: Principal, tenant: Tenant, support_model: OfflineModel
) -> None:
    before = run_workflow(principal, "support_reply", ONE_PART)
    remember(tenant, FACT)
    ApiKey.objects.update(scopes=["tasks:write", "tasks:read"])
    after = run_workflow(principal, "support_reply", ONE_PART)

    for workflow in (before, after):
        assert not any("memories_id" in part for part in outputs(workflow, "retrieve_context"))


def test_an_erased_and_a_superseded_fact_are_not_found(tenant: Tenant, support_model: OfflineModel) -> None:
    def found() -> list[str]:
        asked = memories.search(tenant.pk, "Which password?", about=CUSTOMER, limit=5, embed=service._embedded)
        return [passage.text for passage in asked]

    writer = Principal(frozenset({"memories:write"}), frozenset({tenant.pk}))
    memory, _ = service.write(writer, about=CUSTOMER, text="Has lost the password once.")
    assert memory.embedding_model and found() == ["Has lost the password once."]
    corrected = service.correct(writer, memory.pk, text="Has lost the password twice.")
    assert found() == ["Has lost the password twice."]
    service.erase(writer, corrected.pk)
    assert found() == [] and not Memory.objects.exists()
