"""The operations page in a browser: it fits wide and narrow, light and dark, and refreshes itself. [G5]"""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from agentapp.models import Limit, Sample, Worker
from tests.admin.conftest import let_in, picture

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


# As a browser does when another tab comes to the front.
HIDE = """(isHidden) => {
  Object.defineProperty(document, "hidden", { get: () => isHidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


def measured() -> None:
    """An hour of three queues and two models, in which ten minutes are missing."""
    last = timezone.now().replace(second=0, microsecond=0) - timedelta(minutes=1)
    rows = []
    for ago in (*range(25), *range(35, 60)):
        minute, wave = last - timedelta(minutes=ago), (ago * 7) % 13
        rows.append(Sample(minute=minute, key="platform", dead_letters=40 - ago // 2))
        for number, queue in enumerate(("model", "retrieval", "send")):
            rows.append(Sample(
                minute=minute, key=f"queue:{queue}", waiting=wave * 3 + number, oldest_s=wave * 9.5, running=wave % 8,
                slots=8, entered=100 + wave, begun=95 + wave, completed=90 + wave, failed=wave // 3, retried=wave // 2,
                waits=[0, 0, 3, 9, 4, 2], runs=[0] * 6 + [5, 9, wave],
            ))  # fmt: skip
        for name in ("gpt-large", "gpt-small"):
            rows.append(Sample(minute=minute, key=f"model:{name}", completed=30 + wave, limited=wave // 4,
                               prompt_tokens=40_000 + 900 * wave, completion_tokens=9_000, cost_usd="0.1275",
                               runs=[0] * 6 + [20, 9, wave // 2]))  # fmt: skip
    Sample.objects.bulk_create(rows)
    now = timezone.now()
    for queue, waiting, oldest_s in (("model", 31, 75), ("retrieval", 2, 1)):
        Limit.objects.create(key=f"queue:{queue}", scope="queue", name=queue, waiting=waiting, slots=8,
                             oldest_at=now - timedelta(seconds=oldest_s))  # fmt: skip
    Limit.objects.create(key="model:gpt-large", scope="model", name="gpt-large", concurrency=4, holds=True)
    Worker.objects.create(id=1, name="worker_model@host-1234", pool="threads", queues=["model", "retrieval"], jobs=3,
                          slots=8, started_at=now, seen_at=now)  # fmt: skip


def test_the_page_can_be_looked_at_and_refreshes_itself(page: Page, live_server: LiveServer) -> None:
    measured()
    page.clock.install()
    let_in(page, live_server.url, User.objects.create(username="operator", is_staff=True, is_superuser=True))
    queues = page.get_by_role("region", name="Queues")
    expect(queues.get_by_role("row", name="model", exact=False).first).to_contain_text("late")
    expect(page.get_by_role("img", name="Model latency: median last", exact=False)).to_be_visible()
    picture(page, "operations")

    table = page.locator("#table-waiting")
    table.locator("summary").click()
    Limit.objects.filter(key="queue:model").update(waiting=4711)
    page.clock.run_for(11_000)

    # A look that was on its way puts the next one off.
    expect(queues).to_contain_text("4,711", timeout=30_000)
    expect(table.get_by_role("table")).to_be_visible()
    expect(page.locator("#overview-late")).to_be_hidden()

    row = queues.get_by_role("row", name="retrieval", exact=False)
    row.get_by_text("Pause", exact=False).first.click()
    row.get_by_label("Why?", exact=False).fill("a disk is full")
    page.clock.run_for(30_000)
    expect(row.get_by_label("Why?", exact=False)).to_have_value("a disk is full")
    picture(page, "operations-pausing")
    row.get_by_role("button", name="Pause").click()
    stopped = page.get_by_label("What is stopped")
    expect(stopped).to_contain_text("a disk is full")
    stopped.get_by_text("Resume", exact=False).first.click()
    picture(page, "operations-resuming")
    stopped.get_by_role("button", name="Resume").click()
    expect(page.get_by_text("Queue retrieval. Resumed")).to_be_visible()
    expect(stopped).to_have_count(0)

    page.evaluate(HIDE, True)
    Limit.objects.filter(key="queue:model").update(waiting=5822)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.clock.run_for(60_000)
    # What the page had asked before is known by the time that this is answered.
    page.evaluate("fetch('/admin/time-zone/').then((answer) => answer.text())")
    assert [url.rpartition("/admin/")[2] for url in asked] == ["time-zone/"]
    page.evaluate(HIDE, False)
    expect(queues).to_contain_text("5,822")
