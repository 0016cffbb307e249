"""The first page shows how the platform does: each number is asserted from rows that the test has made. [G5]"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from agentapp.admin.charts import Chart, Line
from agentapp.clock import Clock
from agentapp.lifecycle import gates, quarters
from agentapp.models import (
    Approval,
    DispatcherLease,
    DrillReport,
    GateChange,
    Job,
    Limit,
    QuarterSample,
    Sample,
    Tenant,
    WebhookEndpoint,
    Worker,
)
from agentapp.models.tenant import DRILL
from agentapp.services import measurements
from agentapp.services.measurements import PERIODS
from agentapp.services.principals import Principal
from agentapp.states import KeyMode
from tests.admin.conftest import MakeStaff

pytestmark = pytest.mark.django_db

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
OPERATOR = Principal(frozenset({"gates:read"}), None)


@pytest.fixture(autouse=True)
def noon(clock: Clock) -> Iterator[Clock]:
    """Ten seconds after noon: the minute before is over and measured."""
    clock.set(NOON + timedelta(seconds=10))
    yield clock


def measured(minutes_ago: int, key: str = "platform", **values: Any) -> None:
    minute = NOON - timedelta(minutes=minutes_ago)
    if key != "platform":
        Sample.objects.get_or_create(minute=minute, key="platform")
    Sample.objects.create(minute=minute, key=key, **values)


def text_of(client: Client, query: str = "") -> str:
    answer = client.get(f"/admin/{query}")
    assert answer.status_code == 200
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def row_of(client: Client, name: str, query: str = "") -> list[str]:
    """The cells of the table row that begins with a name, without its switch."""
    page = re.sub(r'<td class="switches">.*?</td>', "", client.get(f"/admin/{query}").content.decode(), flags=re.DOTALL)
    rows = (
        re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in re.findall(r"<tr.*?</tr>", page, re.DOTALL)
    )
    cells = ([" ".join(re.sub(r"<[^>]+>", " ", cell).split()) for cell in row] for row in rows)
    return next(row for row in cells if row and row[0] == name)


def test_a_queue_stands_beside_its_target(operator: Client, noon: Clock) -> None:
    Limit.objects.create(
        key="queue:model", scope="queue", name="model", waiting=7, slots=8, oldest_at=noon.now() - timedelta(seconds=90)
    )
    for minutes_ago in (1, 2):
        measured(minutes_ago, "queue:model", entered=30, begun=20, completed=12, failed=3, retried=2, dead_lettered=1,
                 waits=[0] * 9 + [10], runs=[0, 0, 0, 0, 0, 4])  # fmt: skip

    assert row_of(operator, "model") == [
        "model", "1 min 30 s late", "1 min", "7", "30", "20", "0/8", "7.5 s / 9.8 s", "350 ms / 485 ms", "24", "6", "4",
        "2",
    ]  # fmt: skip
    assert row_of(operator, "documents")[:4] == ["documents", "-", "10 min", "0"]
    assert "2 new in the last hour" in text_of(operator)


def test_models_tell_their_calls_latency_tokens_and_cost(operator: Client) -> None:
    measured(1, "model:small", completed=9, failed=1, limited=2, prompt_tokens=1000, completion_tokens=50,
             cost_usd=Decimal("1.5"), runs=[0] * 7 + [12])  # fmt: skip
    measured(30, "model:small", completed=1, cost_usd=Decimal("0.5"))
    measured(70, "model:small", completed=100)

    assert row_of(operator, "small") == ["small", "13", "1", "2", "1.5 s / 1.9 s", "1,000", "50", "$2.00"]
    assert row_of(operator, "small", "?period=24h")[1] == "113"


def test_the_api_tells_its_requests_and_its_latency(operator: Client) -> None:
    measured(1, "api", completed=57, failed=3, runs=[0] * 5 + [60])

    page = operator.get("/admin/").content.decode()

    assert "API requests per minute: answered last 57, at most 57; failed (5xx) last 3, at most 3" in page
    assert "API latency: median last 350 ms, at most 350 ms; 95th percentile last 485 ms" in page


def test_what_is_stopped_tells_what_waits_and_the_last_error(operator: Client, noon: Clock) -> None:
    gates.know(["model:gpt", "job_type:draft"])
    gates.set_mode("job_type:draft", KeyMode.PAUSED, actor="user:ada", reason="a disk is full")
    Limit.objects.filter(key="model:gpt").update(breaker="open", closed_until=noon.now() + timedelta(seconds=30))
    for reason in ("the first error", "<b>the last error</b>"):
        GateChange.objects.create(
            at=noon.now(), actor="breaker", action="breaker open", target="model:gpt", reason=reason
        )
    measured(1, "model:gpt", waiting=12)
    measured(2, "job_type:draft", waiting=3)

    page = text_of(operator)

    assert (
        "Model gpt breaker open tried again in 30 s 12 jobs wait behind it. Last error: &lt;b&gt;the last error" in page
    )
    assert "Job type draft paused by ada" in page and "a disk is full" in page
    # Of a minute that is not the last nobody knows what waits now.
    assert "3 jobs" not in page


def test_limits_with_the_least_headroom_come_first(operator: Client) -> None:
    for name, concurrency in (("free", 10), ("closed", 0)):
        Limit.objects.create(key=f"tool:{name}", scope="tool", name=name, concurrency=concurrency)

    page = text_of(operator)

    assert page.index("tool closed") < page.index("tool free")
    assert row_of(operator, "tool free")[1] == "0/10"


def test_workers_tell_their_heartbeat(operator: Client, noon: Clock) -> None:
    for number, (name, ago_s, draining) in enumerate(
        (("alive", 1, None), ("drains", 1, noon.now()), ("silent", 60, None), ("stopped", 60, noon.now()))
    ):
        Worker.objects.create(
            id=number, name=name, pool="threads", queues=["model", "tools"], jobs=2, slots=4, draining_at=draining,
            started_at=NOON, seen_at=noon.now() - timedelta(seconds=ago_s),
        )  # fmt: skip
    Worker.objects.create(id=99, name="gone", pool="threads", started_at=NOON, seen_at=NOON - timedelta(hours=1))

    assert row_of(operator, "stopped")[-1] == "stopped"
    assert row_of(operator, "silent") == ["silent", "model, tools", "threads", "2 / 4", "1 min ago", "silent"]
    assert row_of(operator, "drains")[-1] == "draining" and row_of(operator, "alive")[-1] == "working"
    assert "gone" not in text_of(operator)


def test_overdue_approvals_failing_webhooks_and_the_last_drill(
    operator: Client, waiting: Approval, tenant: Tenant, noon: Clock
) -> None:
    Approval.objects.filter(pk=waiting.pk).update(created_at=NOON - timedelta(hours=5))
    WebhookEndpoint.objects.create(tenant=tenant, url="https://a.test/in", salt=b"x", failing_since=NOON)
    DrillReport.objects.create(started_at=NOON, finished_at=NOON, passed=False, answers=[])

    page = text_of(operator)

    assert "1 approval waits for longer than it should; the oldest was asked 5 h" in page
    assert "https://a.test/in of sample have not arrived since 10 s ago" in page
    assert "Last drill 10 s ago failed" in page


def test_the_drill_is_left_out_unless_it_is_asked_for(operator: Client, dead: Job) -> None:
    Tenant.objects.filter(pk=dead.tenant_id).update(slug=DRILL)

    assert "0 dead letters" in text_of(operator)
    assert "1 dead letters" in text_of(operator, "?drill=1")


def test_before_anything_was_measured_the_page_says_so(operator: Client) -> None:
    page = text_of(operator, "?period=nonsense")

    assert "Nothing was measured yet" in page and "No dispatcher has ever worked here" in page
    assert "No worker has given a sign of life" in page and "There was none. manage.py drill runs one." in page


def test_old_numbers_say_since_when(operator: Client, noon: Clock) -> None:
    measured(10, "queue:model", completed=1)
    DispatcherLease.objects.create(id=DispatcherLease.ROW, renewed_at=datetime(2020, 1, 1, tzinfo=UTC))

    page = text_of(operator)

    assert "The charts end 10 min 10 s ago : no dispatcher has measured since." in page
    assert "are as they were 10 min 10 s ago" in page


def test_a_member_sees_own_numbers_and_who_shows_the_others(member: Client, dead: Job, other_tenant: Tenant) -> None:
    measured(1, "queue:model", completed=1)
    page = text_of(member)

    assert "1 dead letters" in page and "These numbers are of sample." in page
    assert "are shown to superusers" in page and "Target" not in page
    assert member.get("/admin/overview/").content.count(b"Target") == 0


def test_a_person_without_membership_is_told_what_to_do(make_staff: MakeStaff) -> None:
    client = Client()
    client.force_login(make_staff("nobody", None))

    page = text_of(client)

    assert "You are not a member of any tenant" in page
    assert "manage.py create_user nobody --tenant TENANT --role viewer" in page


def test_the_fragment_is_for_who_is_logged_in(operator: Client) -> None:
    assert operator.get("/admin/overview/?period=7d").content.decode().count("The last 7 days") == 1
    assert Client().get("/admin/overview/").status_code == 302
    assert operator.post("/admin/overview/").status_code == 405


def test_how_many_statements_it_takes_does_not_grow(operator: Client, tenant: Tenant, noon: Clock) -> None:
    def statements() -> int:
        with CaptureQueriesContext(connection) as found:
            assert operator.get("/admin/overview/?period=7d").status_code == 200
        return len(found)

    # The first request of a session writes its end.
    statements()
    before = statements()
    for number in range(30):
        measured(number + 1, f"model:m{number}", completed=1, runs=[1])
        measured(number + 1, f"queue:q{number}", completed=1, waits=[1])
        Limit.objects.create(key=f"tool:{number}", scope="tool", name=str(number), concurrency=1, mode="paused")
        WebhookEndpoint.objects.create(tenant=tenant, url=f"https://{number}.test/", salt=b"x", failing_since=NOON)
        Worker.objects.create(id=number, name=str(number), pool="threads", started_at=NOON, seen_at=noon.now())

    # The errors of what is stopped, who has stopped it, and the keys of models are one more each.
    assert statements() <= before + 3 <= 30


def test_a_day_is_read_from_quarters_and_the_minutes_behind_them(noon: Clock) -> None:
    for minutes_ago in range(1, 41):
        measured(minutes_ago, "queue:model", completed=1, waiting=minutes_ago, waits=[0, 2])

    # From 11:20 on: the quarter of 11:15 was measured in part.
    assert quarters.add_up() == 3
    assert quarters.add_up() == 0
    Sample.objects.filter(minute__lt=NOON - timedelta(minutes=15)).delete()
    measured(0, "queue:model", completed=1)

    found = measurements.look(OPERATOR, PERIODS["24h"])

    assert QuarterSample.objects.filter(key="queue:model").count() == 3
    assert found.by_key["queue:model"]["completed"] == 41
    assert found.by_key["queue:model"]["waits"] == [0, 80]
    step = NOON - timedelta(minutes=30)
    assert found.by_step[step]["queue:model"]["waiting"] == 30
    assert (len(found.steps), found.steps[-1]) == (96, NOON - timedelta(minutes=15))


def test_a_chart_leaves_gaps_where_nobody_measured() -> None:
    steps = [NOON + timedelta(minutes=number) for number in range(5)]
    chart = Chart("jobs", "Jobs", (Line("done", [1.0, 2.0, None, None, 4.0]),), steps, lambda value: f"{value:g}")

    ((_, _, path),) = chart.drawn
    assert path.count("M") == 2 and path.endswith("h.01")
    assert (chart.most, chart.summary) == ("4", "Jobs: done last 4, at most 4")
    assert [values for _, values in chart.rows] == [["4"], ["2"], ["1"]]
    nothing = Chart("jobs", "Jobs", (Line("done", [None, None]),), steps[:2], str)
    assert (nothing.is_empty, nothing.rows, nothing.most) == (True, [], "")
