"""The latency of the API: nothing that a process has counted is lost or counted twice, and labels are few. [H1]"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import RequestFactory
from django.urls import resolve

from agentapp.api import routes
from agentapp.api.urls import ADDRESSES
from agentapp.clock import Clock
from agentapp.lifecycle import quarters, samples, totals
from agentapp.lifecycle.figures import MOST_ROUTES
from agentapp.models import QuarterSample, RequestCount, Sample, Total
from agentapp.services.request_counts import METHODS, RequestCounts
from tests.observability.exposed import Exposed

pytestmark = pytest.mark.django_db(transaction=True)

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
METRIC = "agentapp_http_request_duration_seconds"
LABELS = {"method": "GET", "route": "/tasks", "status": "2xx"}


def counted(*seconds: float, **fields: Any) -> RequestCounts:
    """A web process that has answered these requests."""
    counts = RequestCounts()
    for each in seconds:
        counts.add(**{"method": "GET", "route": "/tasks", "status": 200, "seconds": each, **fields})
    return counts


def shown() -> float:
    totals.add_up()
    return Exposed().value(f"{METRIC}_count", **LABELS)


def test_processes_are_added_up_and_one_that_ends_takes_nothing_back() -> None:
    first, second = counted(0.005, 0.3, 7.0), counted(0.015)
    first.begin()
    first.end()
    second.store()
    assert shown() == 4

    second.add(method="GET", route="/tasks", status=204, seconds=0.015)
    second.store()
    # Stored by nobody: it was killed.
    counted(1.0)
    assert shown() == 5 and not RequestCount.objects.exists()
    found = Exposed()
    at_most = {le: found.value(f"{METRIC}_bucket", **LABELS, le=le) for le in ("0.01", "0.02", "0.5", "5.0", "+Inf")}
    assert at_most == {"0.01": 1, "0.02": 3, "0.5": 4, "5.0": 4, "+Inf": 5}
    assert found.value(f"{METRIC}_sum", **LABELS) == pytest.approx(7.335)


def test_what_cannot_be_stored_is_kept_and_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    counts = counted(0.1)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE agentapp_requestcount RENAME TO agentapp_away")
        try:
            stored = [counts._try(tells=tells) for tells in (True, False)]
            counts.add(method="GET", route="/tasks", status=200, seconds=0.1)
        finally:
            with connection.cursor() as after:
                after.execute("ALTER TABLE agentapp_away RENAME TO agentapp_requestcount")

    assert stored == [False, False] and len(caplog.records) == 1
    counts.begin()
    counts.end()
    assert shown() == 2


def test_a_row_whose_answer_was_lost_is_not_counted_again() -> None:
    counts = counted(0.1, 0.2)
    counts._unsure = counts._taken()
    assert counts._unsure
    RequestCount.objects.create(id=counts._unsure.pk, counts=counts._unsure.counts)

    counts.store()

    assert shown() == 2


def test_the_api_has_a_sample_of_each_minute_and_of_each_quarter(clock: Clock) -> None:
    clock.set(NOON + timedelta(seconds=66))
    samples.take()
    counted(0.1, 0.3).store()
    counted(0.3, status=503).store()
    totals.add_up()
    clock.set(NOON + timedelta(minutes=15, seconds=6))
    samples.take()
    totals.add_up()
    quarters.add_up()

    for found in (Sample.objects.get(key="api"), QuarterSample.objects.get(key="api", minute=NOON)):
        assert (found.completed, found.failed, sum(found.runs)) == (2, 1, 3)
    # Routes alone are counters.
    assert set(Total.objects.values_list("key", flat=True)) & {"api", "route:GET 5xx /tasks"} == {
        "route:GET 5xx /tasks"
    }


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/tasks/", "/tasks"), ("/tasks/0190a4c0-0000-7000-8000-000000000000", "/tasks/{task_id}"),
        ("/limits/model/a/b:c/pause", "/limits/{scope}/{name}/pause"), ("/mcp", "/mcp"),
        ("/admin/agentapp/workflow/1/change/", "/admin/"), ("/console/", "/console/"), ("/", "other"),
        ("/tasks/1/2/3", "other"), ("/healthz", None), ("/readyz/", None), ("/metrics", None),
    ],
)  # fmt: skip
def test_a_route_is_a_template_and_probes_have_none(path: str, route: str | None) -> None:
    request = RequestFactory().get(path)
    request.resolver_match = resolve(path)
    assert routes.of(request) == route
    request.resolver_match = None
    assert routes.of(request) == (route if route in ("/admin/", "/console/") else "other")


def test_keys_are_few_and_fit() -> None:
    counts = counted(0.1, method="BREW")
    for address in ADDRESSES:
        counts.add(method="OPTIONS", route=f"/{address}", status=200, seconds=0.1)
    counts.store()

    totals.add_up()

    keys = set(Total.objects.filter(key__startswith="route:").values_list("key", flat=True))
    assert "route:other 2xx /tasks" in keys and len(keys) == len(ADDRESSES) + 1
    # The routes of people, an assistant's and what is none of these; the classes are 1xx to 5xx.
    assert (len(ADDRESSES) + 10) * (len(METHODS) + 1) * 5 < MOST_ROUTES
