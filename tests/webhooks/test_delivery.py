"""From a task that is over to a request that its receiver can verify, and what follows each answer."""

from __future__ import annotations

import pytest
from standardwebhooks import Webhook

from agentapp.models import WebhookDelivery, Workflow
from agentapp.services.principals import Principal
from agentapp.services.webhook_deliveries import Fate
from tests.delivery.receiver import Receiver
from tests.webhooks.world import content, deliver, endpoint, finish_a_task, progress

pytestmark = pytest.mark.django_db


def test_a_finished_task_is_a_signed_request(principal: Principal, well: Receiver) -> None:
    _, secret = endpoint(principal, well)
    task = finish_a_task(principal)

    assert deliver() == 1

    request = well.requests[0]
    told = Webhook(secret).verify(request.body, request.headers)
    assert (request.line, request.headers["content-type"]) == ("POST /hooks HTTP/1.1", "application/json")
    assert (told["type"], told["data"]["id"], told["data"]["state"]) == ("task.completed", str(task.pk), "completed")
    assert told["data"]["result"] == Workflow.objects.get(pk=task.pk).result
    assert content(request) == told
    delivery = WebhookDelivery.objects.get()
    assert request.headers["webhook-id"] == f"msg_{delivery.event_id}"
    assert progress(delivery).fate is Fate.DELIVERED
    assert [(each["status"], each["answer"]) for each in delivery.log] == [(200, "ok")]
