"""What tests of webhooks do again and again."""

from __future__ import annotations

import json
from typing import Any

from agentapp.api import shapes
from agentapp.dispatch.webhooks import Spreader
from agentapp.models import WebhookDelivery, WebhookEndpoint, Workflow
from agentapp.services import delivery_states, webhooks, workflows
from agentapp.services.delivery_states import Progress
from agentapp.services.principals import Principal
from tests.api import documented
from tests.delivery.receiver import Receiver, Request
from tests.harness import drain, run_workflow

KIND = "probe_fan"


def endpoint(principal: Principal, receiver: Receiver, **more: Any) -> tuple[WebhookEndpoint, str]:
    return webhooks.create(principal, url=receiver.url, **more)


def finish_a_task(principal: Principal, **more: Any) -> Workflow:
    return run_workflow(principal, KIND, {"parts": [1]}, **more)


def spread() -> int:
    """What the dispatcher does at a tick."""
    return Spreader(shapes.task).spread()


def deliver() -> int:
    """Spread what is there and send it, once each."""
    spread()
    return drain()


def progress(delivery: WebhookDelivery) -> Progress:
    return delivery_states.progress([delivery])[delivery.pk]


def content(request: Request) -> Any:
    body = json.loads(request.body)
    documented.check_webhook(body)
    return body


def cancelled_task(principal: Principal) -> Workflow:
    """The shortest way to an event."""
    task = workflows.submit(principal, kind=KIND, input={})
    return workflows.cancel(principal, task.pk, reason="for a test")
