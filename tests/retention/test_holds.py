"""What a legal hold names is not deleted, by nobody, until it is lifted."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from agentapp.clock import Clock
from agentapp.errors import IllegalMove
from agentapp.lifecycle import holds
from agentapp.models import Document, GateChange, Tenant, Workflow
from agentapp.services import documents, memories
from agentapp.services.principals import Principal
from tests.dispatch.test_pruner import DAY_S, ended_task, look
from tests.harness import run_workflow

pytestmark = pytest.mark.django_db(transaction=True)


def test_what_a_legal_hold_names_stays_until_it_is_lifted(
    principal: Principal, other_principal: Principal, clock: Clock
) -> None:
    held, free = ended_task(principal, "completed"), ended_task(principal, "completed")
    other = ended_task(other_principal, "completed")
    of_task = holds.place(held.tenant_id, task_id=held.pk, reason="case 7", actor="user:ada")
    of_tenant = holds.place(other.tenant_id, reason="case 8", actor="user:ada")
    assert holds.place(other.tenant_id, reason="again", actor="user:ben") == of_tenant
    clock.advance(91 * DAY_S)

    assert look() == 1
    assert set(Workflow.objects.all()) == {held, other} and not Workflow.objects.filter(pk=free.pk).exists()
    for hold in (of_task, of_tenant):
        holds.lift(hold, reason="over", actor="user:ben")
    assert look() == 2
    changes = GateChange.objects.order_by("pk").values_list("actor", "action", "reason")
    assert [*changes] == [
        ("user:ada", "held", "case 7"), ("user:ada", "held", "case 8"),
        ("user:ben", "released", "over"), ("user:ben", "released", "over"),
    ]  # fmt: skip


def test_the_command_places_lists_and_lifts_holds(principal: Principal, other_principal: Principal) -> None:
    task = run_workflow(principal, "probe_loop")
    others = run_workflow(other_principal, "probe_loop")

    def held(*arguments: str) -> str:
        out = StringIO()
        call_command("legal_hold", "sample", *arguments, stdout=out)
        return out.getvalue()

    assert held() == "There is no legal hold on sample.\n"
    assert "by ada: case 7" in held("--task", str(task.pk), "--reason", "case 7", "--by", "ada")
    with pytest.raises(CommandError, match="no task"):
        held("--task", str(others.pk), "--reason", "of another tenant")
    with pytest.raises(CommandError, match="no legal hold on the whole of sample"):
        held("--lift", "over")
    assert held("--task", str(task.pk), "--lift", "over") == "There is no legal hold on sample.\n"


def test_a_hold_on_a_tenant_keeps_documents_and_memories(principal: Principal) -> None:
    tenant = Tenant.objects.get(slug="sample")
    document = Document.objects.create(
        tenant=tenant, source="a.md", title="a", size=1, created_at=tenant.created_at, updated_at=tenant.created_at
    )
    holds.place(tenant.pk, reason="case 7", actor="user:ada")

    with pytest.raises(IllegalMove, match="A document cannot be deleted: user:ada"):
        documents.delete(principal, document.pk)
    with pytest.raises(IllegalMove, match="remembered of a customer cannot be deleted"):
        memories.erase_about(principal, about="ben@example.org")
    assert Document.objects.filter(pk=document.pk).exists()
