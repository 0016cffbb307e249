"""From a task that is over to a request that its receiver can verify, and what follows each answer."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import timedelta

import pytest
from pytest_django import Settings
from standardwebhooks import Webhook, WebhookVerificationError

from agentapp import clock as clock_module
from agentapp.delivery.guarded_http import Guard
from agentapp.delivery.slots import LATEST_S
from agentapp.delivery.webhooks import PER_HOST, SLOTS, NotDelivered
from agentapp.delivery.webhooks import deliver as send
from agentapp.models import Job, WebhookDelivery, WebhookEndpoint, Workflow
from agentapp.policies import webhooks as policy
from agentapp.services import webhook_deliveries, webhooks
from agentapp.services.principals import Principal
from agentapp.states import DeliveryState
from tests.delivery import receiver
from tests.delivery.receiver import Receiver, receiving
from tests.delivery.test_guarded_http import PUBLIC, Rebinding
from tests.harness import drain, histories_are_legal, make_due
from tests.webhooks.world import content, deliver, endpoint, finish_a_task, progress, spread

pytestmark = pytest.mark.django_db
# What retries wait longer than the table, at most a tenth.
JITTER = 1.1


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
    assert progress(delivery).state is DeliveryState.DELIVERED
    assert [(each["status"], each["answer"]) for each in delivery.log] == [(200, "ok")]


def test_a_failing_receiver_is_tried_again_by_the_schedule_under_one_id_until_a_dead_letter(
    principal: Principal, clock: clock_module.Clock
) -> None:
    with receiving(receiver.status(500, content=b"out of order")) as broken:
        endpoint(principal, broken)
        finish_a_task(principal)
        deliver()
        job, waits = Job.objects.get(type="deliver_webhook"), []
        while Job.objects.get(pk=job.pk).state == "retryable":
            due = Job.objects.get(pk=job.pk).scheduled_at
            assert due is not None
            waits.append((due - clock.now()).total_seconds())
            make_due(clock, waits[-1] - 0.001)
            assert drain() == 0
            make_due(clock, 0.002)
            assert drain() == 1

    assert len(waits) == 7
    for wait_s, table_s in zip(waits, policy.RETRY.backoff_s, strict=True):
        assert table_s <= wait_s <= table_s * JITTER + 1
    assert len(broken.requests) == 8
    assert len({request.headers["webhook-id"] for request in broken.requests}) == 1
    assert len({request.body for request in broken.requests}) == 1
    assert len({request.headers["webhook-timestamp"] for request in broken.requests}) == 8
    delivery = WebhookDelivery.objects.get()
    assert (progress(delivery).state, progress(delivery).reason) == (DeliveryState.DEAD_LETTERED, "It answered 500.")
    assert [(each["status"], each["answer"]) for each in delivery.log] == [(500, "out of order")] * 8
    assert histories_are_legal()


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (receiver.status(302, headers="Location: /elsewhere\r\n"), "It answered 302."),
        (receiver.status(404), "It answered 404."),
        (receiver.close_in_the_middle, "did not answer"),
        (receiver.no_http, "did not answer"),
        (receiver.nul, "did not answer"),
    ],
)
def test_whatever_else_is_no_success_is_tried_again_and_may_succeed(
    bad: receiver.Answer, said: str, principal: Principal, clock: clock_module.Clock
) -> None:
    with receiving(bad, receiver.status(200)) as recovering:
        endpoint(principal, recovering)
        finish_a_task(principal)
        deliver()
        delivery = WebhookDelivery.objects.get()
        assert progress(delivery).state is DeliveryState.RETRYING and said in progress(delivery).reason
        assert WebhookEndpoint.objects.get().failing_since == clock.now()

        make_due(clock, 5 * JITTER)
        drain()

    assert progress(delivery).state is DeliveryState.DELIVERED
    assert WebhookEndpoint.objects.get().failing_since is None
    assert len(recovering.requests) == 2


@pytest.mark.parametrize("endless", [receiver.drip_content, receiver.flood, receiver.cut_content])
def test_a_status_of_success_counts_even_where_the_content_does_not_end(
    endless: receiver.Answer, principal: Principal
) -> None:
    with receiving(endless) as target:
        endpoint(principal, target)
        finish_a_task(principal)
        deliver()

    delivery = WebhookDelivery.objects.get()
    assert progress(delivery).state is DeliveryState.DELIVERED
    assert len(delivery.log[0]["answer"]) <= 500


def test_a_receiver_may_ask_for_a_longer_wait_but_not_for_any(principal: Principal, clock: clock_module.Clock) -> None:
    answers = (receiver.status(503, headers=f"Retry-After: {asked}\r\n") for asked in ("120", "99999999"))
    with receiving(*answers) as busy:
        endpoint(principal, busy)
        finish_a_task(principal)
        deliver()
        first = Job.objects.get(type="deliver_webhook").scheduled_at
        assert first is not None and 120 <= (first - clock.now()).total_seconds() <= 120 * JITTER
        make_due(clock, 120 * JITTER)
        drain()

    second = Job.objects.get(type="deliver_webhook").scheduled_at
    assert second is not None and 3600 <= (second - clock.now()).total_seconds() <= 3600 * JITTER


def test_gone_disables_the_endpoint_and_is_no_dead_letter(principal: Principal) -> None:
    with receiving(receiver.status(410)) as gone:
        endpoint(principal, gone)
        finish_a_task(principal)
        deliver()
        finish_a_task(principal)
        deliver()

    row = WebhookEndpoint.objects.get()
    assert (row.is_enabled, row.disabled_reason) == (False, "It answered 410 Gone: it wants nothing more.")
    assert progress(WebhookDelivery.objects.get()).state is DeliveryState.GONE
    assert len(gone.requests) == 1


def test_an_endpoint_that_only_fails_for_days_is_disabled_with_the_reason(
    principal: Principal, clock: clock_module.Clock
) -> None:
    with receiving(receiver.status(500)) as broken:
        endpoint(principal, broken)
        for _ in range(6):
            finish_a_task(principal)
            deliver()
            clock.advance(timedelta(days=1).total_seconds())

    row = WebhookEndpoint.objects.get()
    assert not row.is_enabled
    assert row.disabled_reason == "Nothing has arrived since 2030-01-01 12:00 UTC. The last failure: It answered 500."


def test_a_delivery_to_an_endpoint_that_was_disabled_meanwhile_is_skipped(principal: Principal, well: Receiver) -> None:
    row, _ = endpoint(principal, well)
    finish_a_task(principal)
    spread()
    webhooks.change(principal, row.pk, {"is_enabled": False})
    drain()

    delivery = WebhookDelivery.objects.get()
    found = progress(delivery)
    assert (found.state, well.requests) == (DeliveryState.SKIPPED, [])
    assert found.reason.startswith("The endpoint is disabled. Disabled by the key all")
    assert Workflow.objects.get(pk=delivery.workflow_id).state == "completed"


def test_a_delivery_to_an_endpoint_that_was_deleted_meanwhile_is_skipped(principal: Principal, well: Receiver) -> None:
    row, _ = endpoint(principal, well)
    finish_a_task(principal)
    spread()
    workflow = WebhookDelivery.objects.get().workflow_id
    webhooks.delete(principal, row.pk)
    drain()

    task = Workflow.objects.get(pk=workflow)
    assert (task.state, (task.result or {})["outcome"], well.requests) == ("completed", "skipped", [])
    assert "deleted" in (task.result or {})["reason"]


def test_a_new_url_is_used_for_what_is_still_to_be_sent(
    principal: Principal, well: Receiver, clock: clock_module.Clock
) -> None:
    with receiving(receiver.status(500)) as broken:
        row, _ = endpoint(principal, broken)
        finish_a_task(principal)
        deliver()
    webhooks.change(principal, row.pk, {"url": well.url})
    make_due(clock, 5 * JITTER)
    drain()

    delivery = WebhookDelivery.objects.get()
    assert (delivery.url, len(well.requests)) == (well.url, 1)


def test_sending_again_ends_what_is_still_tried(principal: Principal, well: Receiver) -> None:
    with receiving(receiver.status(500)) as broken:
        row, _ = endpoint(principal, broken)
        finish_a_task(principal)
        deliver()
    earlier = WebhookDelivery.objects.get()
    webhooks.change(principal, row.pk, {"url": well.url})

    again = webhook_deliveries.resend(principal, earlier.pk)
    drain()

    assert progress(earlier).state is DeliveryState.CANCELLED
    again.refresh_from_db()
    assert progress(again).state is DeliveryState.DELIVERED
    assert well.requests[0].headers["webhook-id"] == broken.requests[0].headers["webhook-id"]


def test_a_name_that_moves_to_loopback_after_the_endpoint_was_made_is_not_connected_to(
    principal: Principal, well: Receiver
) -> None:
    guard = Guard(allows_http=True, resolve=Rebinding(PUBLIC, "127.0.0.1"))
    webhooks.create(principal, url=f"http://moves.test:{well.port}/hooks", by=guard)
    finish_a_task(principal)
    spread()
    delivery = WebhookDelivery.objects.get()

    with pytest.raises(NotDelivered, match="an address that is not public"):
        send(delivery.pk, by=guard)

    delivery.refresh_from_db()
    assert "an address that is not public" in delivery.log[0]["error"]
    assert well.connections == 0


def test_after_a_new_service_key_the_secrets_of_the_one_before_verify_as_long_as_it_is_known(
    principal: Principal, well: Receiver, settings: Settings
) -> None:
    row, old = endpoint(principal, well)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another key", [settings.SECRET_KEY]
    finish_a_task(principal)
    deliver()
    _, new = webhooks.rotate(principal, row.pk)

    request = well.requests[0]
    assert Webhook(old).verify(request.body, request.headers)
    settings.SECRET_KEY_FALLBACKS = []
    finish_a_task(principal)
    deliver()
    assert Webhook(new).verify(well.requests[1].body, well.requests[1].headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(old).verify(well.requests[1].body, well.requests[1].headers)


def test_the_secret_before_a_rotation_signs_until_the_overlap_is_over(
    principal: Principal, well: Receiver, clock: clock_module.Clock
) -> None:
    row, _ = endpoint(principal, well)
    webhooks.rotate(principal, row.pk)
    signatures = []
    for hours in (0, 23, 2):
        clock.advance(hours * 3600)
        finish_a_task(principal)
        deliver()
        signatures.append(len(well.requests[-1].headers["webhook-signature"].split(" ")))

    assert signatures == [2, 2, 1]


def test_a_delivery_whose_receiver_has_enough_waits_and_its_attempt_does_not_count(
    principal: Principal, well: Receiver, clock: clock_module.Clock
) -> None:
    endpoint(principal, well)
    finish_a_task(principal)
    with ExitStack() as stack:
        for _ in range(PER_HOST):
            stack.enter_context(SLOTS.held("127.0.0.1", most=PER_HOST))
        deliver()
    job = Job.objects.get(type="deliver_webhook")
    assert (job.state, job.attempt, well.requests, WebhookDelivery.objects.get().log) == ("retryable", 0, [], [])

    make_due(clock, LATEST_S * JITTER)
    drain()

    assert progress(WebhookDelivery.objects.get()).state is DeliveryState.DELIVERED
    assert Job.objects.get(pk=job.pk).attempt == 1
    assert histories_are_legal()
