"""Endpoints and deliveries that people change while something is sent."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.auth.models import User

from agentapp import clock as clock_module
from agentapp import conf
from agentapp.delivery.guarded_http import Answer, Guard
from agentapp.delivery.webhooks import NotDelivered
from agentapp.delivery.webhooks import deliver as send
from agentapp.models import Job, WebhookDelivery, WebhookEndpoint
from agentapp.services import dead_letters, webhooks
from agentapp.services.principals import Principal, of_user
from agentapp.states import DeliveryState
from tests.delivery import receiver
from tests.delivery.receiver import Receiver, receiving
from tests.harness import drain, make_due
from tests.webhooks.world import deliver, endpoint, finish_a_task, progress, spread

pytestmark = pytest.mark.django_db


def test_a_dead_letter_that_a_person_resolved_is_shown_whatever_was_entered(
    principal: Principal, admin_user: User, clock: clock_module.Clock
) -> None:
    with receiving(receiver.status(500)) as broken:
        endpoint(principal, broken)
        finish_a_task(principal)
        deliver()
        for _ in range(7):
            make_due(clock, 16 * 3600)
            drain()
    letter = Job.objects.get(type="deliver_webhook")

    dead_letters.resolve(of_user(admin_user), letter.pk, output={"outcome": "told by phone"}, reason="by phone")

    found = progress(WebhookDelivery.objects.get())
    assert (found.state, found.reason) == (DeliveryState.SKIPPED, "A person resolved it.")


@dataclass(frozen=True)
class Meanwhile(Guard):
    """Something happens while a request is under way."""

    happens: Callable[[], object] = print

    def post(self, url: str, **request: Any) -> Answer:
        answer = super().post(url, **request)
        self.happens()
        return answer


def send_while(happens: Callable[[], object]) -> None:
    spread()
    allowed = tuple(conf.webhook_allowed_networks())
    with suppress(NotDelivered):
        send(WebhookDelivery.objects.get().pk, by=Meanwhile(allowed=allowed, happens=happens))


@pytest.mark.parametrize("status", [410, 500])
def test_an_answer_of_the_url_before_says_nothing_of_the_endpoint(
    principal: Principal, well: Receiver, status: int
) -> None:
    with receiving(receiver.status(status)) as old:
        made, _ = endpoint(principal, old)
        finish_a_task(principal)
        send_while(lambda: webhooks.change(principal, made.pk, {"url": well.url}))

    now = WebhookEndpoint.objects.get()
    assert (now.url, now.is_enabled, now.failing_since) == (well.url, True, None)
    assert drain() == 1 and len(well.requests) == 1


def test_what_arrives_after_another_failed_meanwhile_ends_the_failing(principal: Principal, well: Receiver) -> None:
    made, _ = endpoint(principal, well)
    finish_a_task(principal)
    rows = WebhookEndpoint.objects.filter(pk=made.pk)

    send_while(lambda: rows.update(failing_since=made.created_at))

    assert rows.get().failing_since is None


def test_a_new_url_has_not_failed_yet(principal: Principal, well: Receiver) -> None:
    with receiving(receiver.status(500)) as broken:
        made, _ = endpoint(principal, broken)
        finish_a_task(principal)
        deliver()
    webhooks.change(principal, made.pk, {"description": "the same address"})
    assert WebhookEndpoint.objects.get().failing_since is not None

    webhooks.change(principal, made.pk, {"url": well.url})

    assert WebhookEndpoint.objects.get().failing_since is None
