"""Pictures of the pages, light and dark, wide and narrow: for people to look at; they must not need to scroll aside."""

from __future__ import annotations

from typing import Literal

import pytest
from django.contrib.auth.models import Group, User
from playwright.sync_api import Page, expect
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from agentapp import clock
from agentapp.models import Approval, DrillReport, Job, Tenant
from agentapp.services import approvals
from agentapp.services.principals import Principal
from bench import seed
from tests import harness
from tests.acceptance.scale import LONG, sized
from tests.admin import every_page
from tests.admin.conftest import Start, let_in
from tests.admin.hands import unseen_stops
from tests.admin.right_to_left import ARABIC, misplaced, write_arabic
from tests.api.test_operations import OUTSIDE
from tests.browser import ALL, OF_LOOKS, accessibility_faults, check_accessibility, press, resize, take_picture

pytestmark = [
    pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.timeout(sized(600, 3600)),
]  # fmt: skip
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
WIDTHS = {"wide": 1280, "narrow": 390}
# The short form looks at every page in one of these alone.
LOOKS: tuple[tuple[Literal["screen", "print"], Literal["light", "dark"]], ...] = (
    ("screen", "light"), *((("screen", "dark"), ("print", "light")) if LONG else ()),
)  # fmt: skip


def test_the_pages_fit_light_and_dark_wide_and_narrow(
    page: Page,
    live_server: LiveServer,
    start: Start,
    dead: Job,
    principal: Principal,
) -> None:
    sent = Approval.objects.get(workflow=start())
    approvals.decide(principal, sent.pk, decision="approve", content_sha256=sent.content_sha256)
    harness.drain()
    below = Approval.objects.get(workflow=start(score=0.4, body="Do you keep\u200b invoices?"), state="pending")
    approvals.decide(
        principal, below.pk, decision="request_changes", content_sha256=below.content_sha256, reason="Name the page."
    )
    harness.drain()
    again = Approval.objects.get(workflow=below.workflow_id, state="pending")
    pages = {
        "index": "/admin/",
        "tasks": "/admin/agentapp/workflow/",
        "task": f"/admin/agentapp/workflow/{sent.workflow_id}/change/",
        "task-dead": f"/admin/agentapp/workflow/{dead.workflow_id}/change/",
        "approvals": "/admin/agentapp/approval/",
        "approval": f"/admin/agentapp/approval/{again.pk}/change/",
        "dead-letters": "/admin/agentapp/deadletter/",
        "dead-letter": f"/admin/agentapp/deadletter/{dead.pk}/change/",
        "add-key": "/admin/agentapp/apikey/add/",
    }
    let_in(page, live_server.url, User.objects.create(username="operator", is_staff=True, is_superuser=True))
    for name, path in pages.items():
        response = page.goto(live_server.url + path)
        assert response is not None and response.ok, name
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            check_accessibility(page, f"{name}, {scheme}", ALL if scheme == "light" else OF_LOOKS)
            for width_name, width in WIDTHS.items():
                resize(page, width)
                take_picture(page, f"{name}-{scheme}-{width_name}")
                overflow = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
                assert overflow <= 0, f"{name} is {overflow} pixels wider than a {width_name} window"


def test_every_page_can_be_used_by_everybody(
    page: Page, live_server: LiveServer, tenant: Tenant, settings: Settings
) -> None:
    for name, value in OUTSIDE.items():
        setattr(settings, name, value)
    ids, known = every_page.records(tenant)
    seed.fill(seed.Sizes(workflows=12, approvals=3, dead_letters=6, tenants=1))
    write_arabic()
    Group.objects.create(name="sample")
    DrillReport.objects.create(started_at=clock.now(), finished_at=clock.now(), passed=False, answers=[])
    person = User.objects.create(username="operator", is_staff=True, is_superuser=True)
    let_in(page, live_server.url, person)
    addresses = every_page.addresses(person, ids, known)
    assert every_page.without_an_address(addresses) == set()
    assert every_page.without_an_address(addresses[1:]) == {"home"}

    found = []
    for address in addresses if LONG else every_page.of_each_template(addresses):
        response = page.goto(live_server.url + address)
        assert response is not None and response.ok, address
        for medium, scheme in LOOKS:
            page.emulate_media(media=medium, color_scheme=scheme)
            found += [f"{address}, {medium}, {scheme}: {each}" for each in accessibility_faults(page)]
        page.emulate_media(media="screen", color_scheme="light")
        found += [f"{address}: {each}" for each in (*unseen_stops(page), *misplaced(page))]
    assert not found, "\n".join(found)
    page.goto(f"{live_server.url}/admin/")
    press(page, "/")
    expect(page.locator("form[role=search] input")).to_be_focused()


def test_what_cannot_be_read_or_heard_is_found(page: Page) -> None:
    page.set_content("<title>a</title><p style='color: #888; background: #777'>grey</p><img src='data:,'>")
    with pytest.raises(AssertionError, match=r"(?s)color-contrast \(serious\).*grey.*image-alt \(critical\)"):
        check_accessibility(page, "grey")
    with pytest.raises(AssertionError, match=r"color-contrast \(serious\).*grey") as found:
        check_accessibility(page, "grey", OF_LOOKS)
    assert "image-alt" not in str(found.value)


def test_what_is_set_from_left_to_right_is_found(page: Page) -> None:
    page.set_content(f"<p>{ARABIC}</p><p dir=auto>{ARABIC}</p><p>said: {ARABIC}</p>"
                     f"<input value='{ARABIC}'><input dir=auto value='{ARABIC}'>")  # fmt: skip
    assert [each.partition("<")[2][:6] for each in misplaced(page)] == [
        "p>" + ARABIC[:4],
        "input ",
    ]


def test_where_the_keyboard_is_not_seen_is_found(page: Page) -> None:
    page.set_content("""<a href=#>seen</a> <a href=# style='outline: none'>hidden</a> <button>seen</button>
      <p style='position: fixed; inset: 0 0 0 40%; background: red'></p>
      <input style='position: fixed; right: 1rem; z-index: -1'>""")
    assert [each.partition(":")[0] for each in unseen_stops(page)] == ["no outline", "covered, or out of sight"]
