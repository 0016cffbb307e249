"""The page of audit entries: what was done, by whom, and the way to the record. [H4]"""

from __future__ import annotations

import pytest
from django.test import Client

from agentapp.lifecycle.audit_chain import seal
from agentapp.models import AuditEntry, GateChange, Tenant
from agentapp.services.principals import Principal
from tests.admin.test_model_choices import text_of
from tests.approvals.asking import ask, decide, person

pytestmark = pytest.mark.django_db
PAGE = "/admin/agentapp/auditentry/"


def test_a_decision_and_a_change_lead_to_their_records(operator: Client, principal: Principal, tenant: Tenant) -> None:
    approval = ask(principal)
    decide(person("ada", tenant), approval)
    entry = AuditEntry.objects.filter(source="history").latest("pk")
    change = GateChange.objects.create(at=entry.at, actor="user:bob", action="changed", target="gate model large")
    seal()

    page = operator.get(PAGE)
    shown = text_of(page)

    assert "approval approved" in shown and "gate model large" in shown
    assert "ada" in shown and "user:ada" not in shown
    assert tenant.slug in shown
    assert f"/admin/agentapp/workflow/{approval.workflow_id}/change/" in page.content.decode()
    assert f"/admin/agentapp/gatechange/{change.pk}/change/" in page.content.decode()
    assert operator.get(f"{PAGE}{entry.pk}/change/").status_code == 200


def test_what_was_erased_says_so_and_leads_nowhere(operator: Client, principal: Principal, tenant: Tenant) -> None:
    approval = ask(principal)
    AuditEntry.objects.all().delete()
    AuditEntry.objects.create(
        at=approval.created_at, source="history", source_key=f"{approval.workflow_id}/1", is_erased=True
    )

    page = operator.get(PAGE)

    assert "erased" in text_of(page) and "not sealed yet" in text_of(page)
    assert str(approval.workflow_id) not in page.content.decode()
