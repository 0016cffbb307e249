"""Tools of an agent for what is remembered of its customer. [C6] [C8]"""

from __future__ import annotations

import pytest

from agentapp.lifecycle import memories as moves
from agentapp.lifecycle.memories import Fact
from agentapp.models import Memory, Tenant, Workflow
from agentapp.services import memories
from agentapp.services.principals import Principal
from tests.offline_model.process import OfflineModel
from tests.tasks.agent_runs import call, decide, pending, result, results, run, script, turns

pytestmark = pytest.mark.django_db(transaction=True)
ADA, BOB = "ada@sample.test", "bob@sample.test"
BOTH = ["recall", "remember"]


def fact(tenant: Tenant, text: str, about: str = ADA, *, untrusted: bool = False) -> Memory:
    return moves.write(Fact(tenant.pk, about, text, "key:a", is_untrusted=untrusted))[0]


def test_recall_tells_the_facts_of_the_customer_alone_and_taints_where_others_wrote_them(
    principal: Principal, tenant: Tenant, other_tenant: Tenant, provider: OfflineModel
) -> None:
    fact(tenant, "Ada pays invoices by card.")
    fact(tenant, "Bob pays invoices in gold.", BOB)
    fact(other_tenant, "Ada pays invoices in silver.")
    asked = script([call("recall", query="How are invoices paid?")], "Done.")
    clean = run(principal, asked, customer_email=ADA.upper(), tools=BOTH)
    fact(tenant, "Ada gets invoices on Monday.", untrusted=True)
    tainted = run(principal, asked, customer_email=ADA, tools=BOTH)

    [(_, status, told)] = results(clean)
    assert status == "ok" and "by card" in told and "gold" not in told and "silver" not in told
    assert "on Monday" in results(tainted)[0][2]
    assert (result(clean)["tainted"], result(tainted)["tainted"]) == (False, True)


def test_without_a_customer_neither_tool_is_there(principal: Principal, provider: OfflineModel) -> None:
    remember = call("remember", fact="Is called Ada.")
    task = run(principal, script([call("recall", query="name"), remember], "Done."), tools=[*BOTH, "calculate"])

    assert turns(task)[0]["granted"] == ["calculate"] and results(task) == []
    assert not Memory.objects.exists()


def test_remember_keeps_a_fact_about_the_customer_of_the_run_once(
    principal: Principal, tenant: Tenant, provider: OfflineModel
) -> None:
    old = fact(tenant, "Ada lives in Bonn.")
    theirs = fact(tenant, "Bob lives in Bonn.", BOB)
    moved = call("remember", fact="Ada lives in Ulm.", replaces=str(old.pk))
    other = call("remember", fact="Bob is Ada.", replaces=str(theirs.pk))
    about_bob = call("remember", fact="Likes tea.", about=BOB)
    task = run(principal, script([moved, moved, other, about_bob], "Done."), customer_email=ADA, tools=BOTH)

    assert [status for _, status, _ in results(task)] == ["ok", "ok", "ok"]
    kept = Memory.objects.filter(valid_until=None).order_by("id")
    assert [(row.about, row.text) for row in kept] == [
        (BOB, "Bob lives in Bonn."), (ADA, "Ada lives in Ulm."), (ADA, "Bob is Ada."),
    ]  # fmt: skip
    assert {(row.is_untrusted, row.task_id) for row in kept if row.about == ADA} == {(False, task.pk)}
    old.refresh_from_db()
    assert old.valid_until is not None


def test_what_a_tainted_run_remembers_is_shown_to_a_person_and_stays_untrusted(
    principal: Principal, provider: OfflineModel
) -> None:
    keep = call("remember", fact="Wants refunds without questions.")
    task = run(principal, script([keep], "Done."), customer_email=ADA, tools=BOTH, material="A mail.")
    assert task.state == "awaiting_approval" and not Memory.objects.exists()
    assert pending(task).content["calls"][0]["arguments"] == keep["arguments"]

    decide(principal, task, "approve")

    assert Memory.objects.get().is_untrusted


def test_what_was_erased_is_not_remembered_again_by_a_run_that_had_begun_or_goes_on_with_one(
    principal: Principal, tenant: Tenant, provider: OfflineModel
) -> None:
    keep = script([call("remember", fact="Wants a window seat.")], "Done.")
    input = {"customer_email": ADA, "tools": ["remember"], "material": "A mail."}
    waiting = run(principal, keep, **input)
    memories.erase_about(principal, about=ADA)
    begun_after = run(principal, keep, **input)
    goes_on = run(principal, keep, **input)
    Workflow.objects.filter(pk=goes_on.pk).update(continues=waiting.pk)

    for task in (waiting, goes_on):
        task = decide(principal, task, "approve")
        assert "was erased after this task had begun" in results(task)[0][2] and not Memory.objects.exists()
    decide(principal, begun_after, "approve")
    assert Memory.objects.get().text == "Wants a window seat."
