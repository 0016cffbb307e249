"""[INV10] Nobody sees or moves what belongs to another tenant; nobody acts without the permission."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from agentapp.models import Approval, Job, Membership, Tenant
from tests.admin.conftest import MakeStaff, Start

pytestmark = pytest.mark.django_db


def _lists() -> list[str]:
    models = [model for model in admin.site._registry if model._meta.app_label == "agentapp"]
    return [reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist") for model in models]


def _address(record: Approval | Job, page: str = "change") -> str:
    name = "approval" if isinstance(record, Approval) else "deadletter"
    return reverse(f"admin:agentapp_{name}_{page}", args=(record.pk,))


def test_the_lists_of_another_tenant_are_empty(stranger: Client, waiting: Approval, dead: Job) -> None:
    for address in _lists():
        page = stranger.get(address)
        text = page.content.decode()
        assert page.status_code in (200, 403), address
        for secret in ("reader@sample.test", str(waiting.pk), str(dead.pk), "Sample Company", ">sample<"):
            assert secret not in text, (address, secret)


def test_a_record_of_another_tenant_is_as_unknown_as_none(stranger: Client, waiting: Approval, dead: Job) -> None:
    for address in (
        _address(waiting),
        _address(dead),
        reverse("admin:agentapp_workflow_change", args=(waiting.workflow_id,)),
    ):
        answer = stranger.get(address)
        assert answer.status_code == 302 and answer["Location"].endswith("/"), address


def test_another_tenant_cannot_decide_replay_or_cancel(stranger: Client, waiting: Approval, dead: Job) -> None:
    decision = {"decision": "approve", "content_sha256": waiting.content_sha256}
    stranger.post(_address(waiting), decision)
    stranger.post(_address(dead), {"action": "replay"})
    stranger.post(reverse("admin:agentapp_workflow_change", args=(dead.workflow_id,)), {"reason": "mine"})
    ids = {"action": "replay", "_selected_action": str(dead.pk)}
    stranger.post(reverse("admin:agentapp_deadletter_changelist"), ids)

    waiting.refresh_from_db()
    dead.refresh_from_db()
    dead.workflow.refresh_from_db()
    assert (waiting.state, dead.state, dead.workflow.state) == ("pending", "dead_lettered", "needs_attention")


def test_a_member_sees_the_tenant_and_a_superuser_sees_both(
    member: Client, operator: Client, waiting: Approval, other_tenant: Tenant
) -> None:
    inbox = reverse("admin:agentapp_approval_changelist")
    assert str(waiting.pk) in member.get(inbox).content.decode()
    tenants = reverse("admin:agentapp_tenant_changelist")
    assert ">other<" not in member.get(tenants).content.decode()
    assert ">other<" in operator.get(tenants).content.decode()


def test_who_may_only_read_gets_no_buttons_and_no_way_around_them(reader: Client, waiting: Approval, dead: Job) -> None:
    for address in (_address(waiting), _address(dead)):
        page = reader.get(address)
        assert page.status_code == 200
        assert b'class="go"' not in page.content and b'class="danger"' not in page.content

    decision = {"decision": "approve", "content_sha256": waiting.content_sha256}
    assert reader.post(_address(waiting), decision).status_code == 403
    assert reader.post(_address(dead), {"action": "replay"}).status_code == 403
    cancelling = reverse("admin:agentapp_workflow_change", args=(waiting.workflow_id,))
    assert reader.post(cancelling, {"reason": "no"}).status_code == 403
    waiting.refresh_from_db()
    dead.refresh_from_db()
    assert (waiting.state, dead.state) == ("pending", "dead_lettered")


def test_a_person_without_a_tenant_sees_empty_pages(make_staff: MakeStaff, waiting: Approval) -> None:
    client = Client()
    client.force_login(make_staff("nobody", None))

    assert str(waiting.pk) not in client.get(reverse("admin:agentapp_approval_changelist")).content.decode()
    assert client.get(reverse("admin:index")).status_code == 200


def test_only_superusers_may_touch_memberships(make_staff: MakeStaff, tenant: Tenant, other_tenant: Tenant) -> None:
    person = make_staff("climber", tenant, "add_membership", "change_membership", "view_membership")
    client = Client()
    client.force_login(person)

    address = reverse("admin:agentapp_membership_add")
    assert client.post(address, {"user": person.pk, "tenant": other_tenant.pk}).status_code == 403
    assert Membership.objects.filter(user=person).count() == 1


def test_every_form_needs_its_token(waiting: Approval, make_staff: MakeStaff, tenant: Tenant) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(make_staff("forged", tenant, "change_approval"))
    decision = {"decision": "approve", "content_sha256": waiting.content_sha256}

    assert client.post(_address(waiting), decision).status_code == 403
    waiting.refresh_from_db()
    assert waiting.state == "pending"


def test_no_template_and_no_page_holds_inline_script_or_style(operator: Client, start: Start, dead: Job) -> None:
    for template in [*Path("templates/admin").rglob("*.html"), *Path("templates/agentapp").rglob("*.html")]:
        text = template.read_text()
        assert "style=" not in text and "<style" not in text and "onclick" not in text, template
        assert "<script>" not in text and "://" not in text.replace("http://www.w3.org", ""), template
    page = operator.get(_address(dead))
    assert "default-src 'self'" in page["Content-Security-Policy"]
