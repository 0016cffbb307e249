"""The pages of webhooks: what was sent, sending it again, and who may."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from agentapp.models import Tenant, WebhookDelivery, WebhookEndpoint
from agentapp.services.principals import Principal
from tests.admin.conftest import MakeStaff
from tests.delivery import receiver
from tests.delivery.receiver import Receiver, receiving
from tests.harness import drain
from tests.webhooks.world import deliver, endpoint, finish_a_task

pytestmark = pytest.mark.django_db


@pytest.fixture
def broken(settings: Settings) -> Iterator[Receiver]:
    settings.AGENTAPP_WEBHOOK_ALLOWED_NETWORKS = [ipaddress.ip_network("127.0.0.0/8")]
    with receiving(receiver.status(500, content=b"<b>out of order</b>"), receiver.status(200)) as listening:
        yield listening


@pytest.fixture
def delivery(principal: Principal, broken: Receiver) -> WebhookDelivery:
    endpoint(principal, broken)
    finish_a_task(principal)
    deliver()
    return WebhookDelivery.objects.get()


def page(record: WebhookDelivery | WebhookEndpoint) -> str:
    return reverse(f"admin:agentapp_{record._meta.model_name}_change", args=(record.pk,))


def test_the_pages_show_what_was_tried_and_no_secret(operator: Client, delivery: WebhookDelivery) -> None:
    row = WebhookEndpoint.objects.get()
    shown = operator.get(page(delivery)).content.decode()
    of_endpoint = operator.get(page(row)).content.decode()

    assert "retrying" in shown and "It answered 500." in shown
    assert "&lt;b&gt;out of order&lt;/b&gt;" in shown
    assert "failing" in of_endpoint and page(delivery) in of_endpoint
    for secret in (bytes(row.salt).hex(), repr(bytes(row.salt)), "whsec_"):
        assert secret not in of_endpoint
    for name in ("webhookdelivery", "webhookendpoint"):
        assert row.url in operator.get(reverse(f"admin:agentapp_{name}_changelist")).content.decode()


def test_a_person_sends_a_delivery_again(operator: Client, delivery: WebhookDelivery, broken: Receiver) -> None:
    answer = operator.post(page(delivery))
    again = WebhookDelivery.objects.exclude(pk=delivery.pk).get()
    drain()

    assert (answer.status_code, answer["Location"]) == (302, page(again))
    assert "delivered" in operator.get(page(again)).content.decode()
    assert len({request.headers["webhook-id"] for request in broken.requests}) == 1


def test_a_person_tests_disables_and_enables_an_endpoint(operator: Client, delivery: WebhookDelivery) -> None:
    row = WebhookEndpoint.objects.get()

    assert operator.post(page(row), {"action": "test"}).status_code == 302
    assert WebhookDelivery.objects.filter(event__type="webhook.test").count() == 1
    operator.post(page(row), {"action": "disable"})
    row.refresh_from_db()
    assert (row.is_enabled, row.disabled_reason) == (False, "Disabled by operator.")
    assert operator.post(page(row), {"action": "test"}).status_code == 409
    assert operator.post(page(delivery)).status_code == 409
    operator.post(page(row), {"action": "enable"})
    row.refresh_from_db()
    assert row.is_enabled


def test_who_may_only_read_changes_nothing(make_staff: MakeStaff, tenant: Tenant, delivery: WebhookDelivery) -> None:
    reader, writer = Client(), Client()
    reader.force_login(make_staff("reads", tenant))
    writer.force_login(make_staff("writes", tenant, "change_webhookendpoint"))

    assert "Send again" not in reader.get(page(delivery)).content.decode()
    assert reader.post(page(delivery)).status_code == 403
    assert writer.post(page(delivery)).status_code == 302


def test_another_tenant_sees_nothing(make_staff: MakeStaff, other_tenant: Tenant, delivery: WebhookDelivery) -> None:
    stranger = Client()
    stranger.force_login(make_staff("stranger", other_tenant, "change_webhookendpoint"))
    row = WebhookEndpoint.objects.get()

    for record in (delivery, row):
        assert stranger.post(page(record)).status_code == 302
        assert row.url not in stranger.get(page(record), follow=True).content.decode()
    assert WebhookDelivery.objects.count() == 1


def test_the_list_of_tasks_leaves_deliveries_out_until_they_are_asked_for(
    operator: Client, delivery: WebhookDelivery
) -> None:
    address = reverse("admin:agentapp_workflow_changelist")

    assert str(delivery.workflow_id) not in operator.get(address).content.decode()
    assert str(delivery.workflow_id) in operator.get(address, {"kind": "webhook_delivery"}).content.decode()
    assert operator.get(reverse("admin:agentapp_workflow_change", args=(delivery.workflow_id,))).status_code == 200
