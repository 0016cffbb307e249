"""What /metrics tells of people and of receivers of webhooks is what the rows say. [H1]"""

from __future__ import annotations

import pytest

from agentapp.clock import Clock
from agentapp.lifecycle import samples, totals
from agentapp.models import Approval, Attempt, Job, Sample, Tenant, Total, WebhookEndpoint
from tests.admin.conftest import start as start
from tests.admin.conftest import waiting as waiting
from tests.observability.exposed import Exposed
from tests.observability.test_metrics import busy as busy
from tests.observability.test_metrics import seconds

pytestmark = pytest.mark.django_db

PEOPLE = ("approvals_pending", "approvals_overdue", "approval_oldest_age_seconds", "webhook_endpoints_failing")


def test_each_try_to_deliver_a_webhook_is_counted_by_what_came_of_it(busy: str, clock: Clock) -> None:
    attempts = list(Attempt.objects.filter(outcome="completed").order_by("pk"))
    for attempt, outcome in zip(attempts, ("delivered", "delivered", "gone", "skipped"), strict=False):
        Job.objects.filter(pk=attempt.job_id).update(type="deliver_webhook", output={"outcome": outcome})
    Job.objects.filter(state="dead_lettered").update(type="deliver_webhook")
    Total.objects.all().delete()
    Sample.objects.all().delete()
    samples.take()
    totals.add_up()

    assert Exposed().counts("agentapp_webhook_deliveries_total", "outcome") == {
        ("delivered",): 2, ("failed",): 1, ("gone",): 1, ("skipped",): 1,
    }  # fmt: skip


def test_people_and_receivers_are_told_by_how_many_and_for_how_long(
    waiting: Approval, tenant: Tenant, clock: Clock
) -> None:
    clock.set(seconds(0))
    Approval.objects.update(created_at=seconds(0))
    shown = [Exposed().value(f"agentapp_{name}") for name in PEOPLE]
    assert shown == [1, 0, 0, 0]

    Approval.objects.update(created_at=seconds(-5 * 3_600))
    WebhookEndpoint.objects.create(tenant=tenant, url="https://a.test/", salt=b"x", failing_since=seconds(-60))
    WebhookEndpoint.objects.create(tenant=tenant, url="https://b.test/", salt=b"x", disabled_reason="gone")
    WebhookEndpoint.objects.create(tenant=tenant, url="https://c.test/", salt=b"x")

    pending, overdue, oldest, failing = (Exposed().value(f"agentapp_{name}") for name in PEOPLE)
    assert (pending, overdue, oldest, failing) == (1, 1, 5 * 3_600, 2)
