"""An inbox is worked off by keyboard: each decision opens the next, with a bounded number of requests. [G1] [G4]"""

from __future__ import annotations

import re
from collections import Counter

import pytest
from playwright.sync_api import Page, Request, expect
from pytest_django.live_server_helper import LiveServer

from agentapp.models import Approval, Tenant
from tests.acceptance.scale import sized
from tests.admin.conftest import MakeStaff, Start, let_in
from tests.browser import press

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.timeout(sized(300, 1800))]
MANY = sized(4, 100)
# The decision, the page of the next one, and what looks for others there. What a browser keeps is not asked for again.
MOST_REQUESTS = 4


def test_every_approval_of_an_inbox_is_decided_without_a_mouse(
    page: Page, live_server: LiveServer, make_staff: MakeStaff, tenant: Tenant, start: Start
) -> None:
    for number in range(MANY):
        start(subject=f"Question {number}")
    asked: Counter[str] = Counter()

    def count(request: Request) -> None:
        asked[request.resource_type] += request.resource_type in ("document", "fetch", "xhr", "eventsource")

    let_in(page, live_server.url, make_staff("member", tenant, "change_approval"))
    page.goto(f"{live_server.url}/admin/agentapp/approval/?state__exact=pending")
    press(page, "j")
    press(page, "Enter")
    page.wait_for_url(re.compile(r"/approval/[0-9a-f-]+/change/"), wait_until="load")
    page.on("request", count)
    for left in reversed(range(MANY)):
        shown = page.url
        press(page, "a")
        expect(page.get_by_role("button", name="Approve and send")).to_be_focused()
        press(page, "Enter")
        expect(page).not_to_have_url(shown)
        expect(page.get_by_text("Approved: it is being sent.")).to_be_visible()
        assert Approval.objects.filter(state="pending").count() == left

    assert Approval.objects.filter(state="approved").count() == MANY
    assert sum(asked.values()) <= MOST_REQUESTS * MANY, asked
