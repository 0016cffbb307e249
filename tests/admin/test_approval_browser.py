"""The page of an approval in a browser: an edit that is kept, and sources that light up. [G1] [G6]"""

from __future__ import annotations

import re

import pytest
from django.contrib.sessions.models import Session
from playwright.sync_api import Page, expect
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from agentapp.models import Approval, Tenant
from agentapp.services import approvals, presence
from agentapp.services.principals import Principal
from tests.admin.conftest import MakeStaff, Start, let_in, picture
from tests.browser import press, resize, take_picture, until

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
KEPT = "Object.keys(localStorage).filter((key) => key.startsWith('agentapp.draft:')).length"

OTHERS = "Object.keys(localStorage).filter((key) => key.endsWith('days'))"
PASSWORD = "a long password for tests"
OLD_DRAFTS = """() => [29, 31].forEach((days) => localStorage.setItem(
  `agentapp.draft:1:${days}days`, JSON.stringify({ at: Date.now() - days * 86_400_000, texts: { body: "old" } })))"""


def _open(page: Page, server: LiveServer, approval: Approval) -> None:
    page.goto(f"{server.url}/admin/agentapp/approval/{approval.pk}/change/", wait_until="load")


@pytest.mark.usefixtures("broker")
def test_a_row_opens_at_its_decision_an_open_page_tells_of_others_and_undo_counts_down(
    page: Page, live_server: LiveServer, make_staff: MakeStaff, tenant: Tenant, start: Start, principal: Principal,
    settings: Settings,
) -> None:  # fmt: skip
    settings.AGENTAPP_SEND_HOLD_S = 300.0
    first, second = (Approval.objects.get(workflow=start(subject=name)) for name in ("One", "Two"))
    page.clock.install()
    let_in(page, live_server.url, make_staff("member", tenant, "change_approval"))
    for key, name in (("e", "body"), ("r", "reason"), ("x", "reason"), ("a", "decision")):
        page.goto(f"{live_server.url}/admin/agentapp/approval/")
        press(page, "j")
        press(page, key)
        page.wait_for_url(re.compile("/change/"), wait_until="load")
        expect(page.locator(f":focus[name='{name}']")).to_be_visible()
    expect(page.locator(":focus")).to_have_text(re.compile("^Approve and send"))
    _open(page, live_server, first)

    press(page, "a")
    press(page, "Enter")
    page.wait_for_url(re.compile(str(second.pk)), wait_until="load")
    left = page.locator("[data-undo-left]")
    expect(left).to_have_text(re.compile(r"^(2[5-9]\d|300)$"))
    page.clock.run_for(100_000)
    expect(left).to_have_text(re.compile(r"^(1\d\d|200)$"))
    press(page, "u")
    press(page, "Enter")
    expect(page.get_by_text("Withdrawn: nothing was sent.")).to_be_visible()
    press(page, "a")
    press(page, "Enter")
    page.wait_for_url(re.compile(str(second.pk)), wait_until="load")
    page.clock.run_for(301_000)
    expect(page.locator("[data-undo]")).to_contain_text("It is being sent.")
    expect(page.locator("[data-undo] button")).to_have_count(0)

    presence.look(second.pk, "anna")
    with page.expect_response(re.compile(f"{second.pk}/watch/")):
        _open(page, live_server, second)
    expect(page.locator("[data-watch]")).to_have_text("anna is looking at this too.")
    approvals.decide(principal, second.pk, decision="reject", content_sha256=second.content_sha256, reason="No.")
    page.clock.run_for(6_000)
    expect(page.locator("[data-watch]")).to_contain_text("decided meanwhile: rejected. Reload the page.")


# Of a laptop, and of 1366 x 768 at 200 % zoom.
SMALL = ({"width": 1366, "height": 768}, {"width": 683, "height": 384})
# Whether the text is seen whole and apart from the decisions, and twelve lines of what is read beside it.
BESIDE = """() => {
  const box = (name) => document.querySelector(name).getBoundingClientRect();
  const [text, more, bar] = [box("#edit-body"), box(".beside-more"), box(".decide")];
  const end = bar.top > more.top ? Math.min(bar.top, innerHeight) : innerHeight;
  return { isSeen: text.left >= 0 && text.top >= 0 && text.right <= innerWidth && text.bottom < innerHeight + 1,
    isCovered: text.bottom > bar.top && text.top < bar.bottom, isBeside: text.right <= more.left,
    isRead: more.right <= innerWidth
      && Math.min(more.bottom, end) - Math.max(more.top, 0) >= Math.min(more.height, 190),
    isWide: document.documentElement.scrollWidth > innerWidth };
}"""
IS_ON_TOP = """(button) => {
  const box = button.getBoundingClientRect();
  return button.contains(document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2));
}"""


def fits_beside(page: Page) -> None:
    """The editor, its question and sources are read beside each other, and the decisions cover none of them."""
    for size in SMALL:
        page.set_viewport_size(size)  # type: ignore[arg-type]
        until(page, f"innerWidth === {size['width']}")
        page.get_by_label("Body").blur()
        page.get_by_label("Body").focus()
        take_picture(page, f"approval-editing-{size['width']}", full_page=False)
        assert page.evaluate(BESIDE) == {
            "isSeen": True, "isCovered": False, "isBeside": True, "isRead": True, "isWide": False
        }, size  # fmt: skip
        page.locator("[data-saves]").focus()
        assert page.locator("[data-saves]").evaluate(IS_ON_TOP), size
    resize(page, 1280)


def test_an_edit_is_kept_offered_again_and_approved(
    page: Page,
    live_server: LiveServer,
    make_staff: MakeStaff,
    tenant: Tenant,
    waiting: Approval,
) -> None:
    waiting.policy = {"name": "allows it", "may_change_recipient": True}
    waiting.save(update_fields=["policy"])
    let_in(page, live_server.url, make_staff("member", tenant, "change_approval"))
    _open(page, live_server, waiting)
    approve, save = page.get_by_role("button", name="Approve and send"), page.locator("[data-saves]")
    offer = page.get_by_role("status", name="Your kept text")
    page.locator(".cites").first.hover()
    expect(page.locator("#source-1")).to_have_class(re.compile("lit"))

    press(page, "e")
    expect(page.get_by_label("Body")).to_be_focused()
    page.get_by_label("Body").fill("My own words. [1]")
    expect(approve).to_have_attribute("aria-disabled", "true")
    expect(page.get_by_text("Your edit is not saved.")).to_be_visible()
    expect(page.get_by_text("of the draft, not of your edit")).to_be_visible()
    page.get_by_label("Recipient", exact=True).fill(f"{'new' * 40}@sample.test")
    goes_to = page.locator("[data-goes-to][aria-live=polite]")
    expect(goes_to).to_have_text(f"It goes to {'new' * 40}@sample.test instead of reader@sample.test.")
    fits_beside(page)
    picture(page, "approval-editing")
    page.get_by_label("Recipient", exact=True).fill("reader@sample.test")
    expect(goes_to).to_be_empty()

    # Away and back, as after a crash or at the end of a session.
    page.goto(f"{live_server.url}/admin/")
    _open(page, live_server, waiting)
    expect(offer).to_contain_text("is kept.")
    expect(approve).to_have_attribute("aria-disabled", "false")
    page.get_by_role("button", name="Use it").click()
    expect(page.get_by_label("Body")).to_have_value("My own words. [1]")
    expect(offer).to_be_hidden()

    # Another person of the same browser is offered nothing.
    let_in(page, live_server.url, make_staff("other", tenant, "change_approval"))
    _open(page, live_server, waiting)
    expect(save).to_be_hidden()
    expect(offer).to_be_hidden()
    let_in(page, live_server.url, make_staff("third", tenant, "change_approval"))
    _open(page, live_server, waiting)
    press(page, "e")
    page.get_by_label("Body").fill("The words of the third.")
    press(page, "Control+Enter")

    expect(page.get_by_text("Approved with your edit")).to_be_visible()
    waiting.refresh_from_db()
    assert (waiting.state, waiting.content["body"]) == ("approved", "The words of the third.")
    # What another person has kept stays for that person.
    until(page, f"{KEPT} === 1")


def test_a_text_survives_the_end_of_a_session_and_is_forgotten_after_thirty_days(
    page: Page, live_server: LiveServer, make_staff: MakeStaff, tenant: Tenant, waiting: Approval
) -> None:
    person = make_staff("member", tenant, "change_approval")
    person.set_password(PASSWORD)
    person.save()
    let_in(page, live_server.url, person)
    _open(page, live_server, waiting)
    page.evaluate(OLD_DRAFTS)
    press(page, "e")
    page.get_by_label("Body").fill("An hour of my work. [1]")
    Session.objects.all().delete()
    press(page, "Control+Enter")

    page.get_by_label("Username").fill("member")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("status", name="Your kept text")).to_contain_text("is kept.")
    page.get_by_role("button", name="Use it").click()
    expect(page.get_by_label("Body")).to_have_value("An hour of my work. [1]")
    # Another approval's text of 29 days is kept, that of 31 days is not.
    assert page.evaluate(OTHERS) == ["agentapp.draft:1:29days"]
    waiting.refresh_from_db()
    assert waiting.state == "pending"


def test_a_text_that_came_too_late_is_still_there(
    page: Page,
    live_server: LiveServer,
    make_staff: MakeStaff,
    tenant: Tenant,
    waiting: Approval,
    principal: Principal,
) -> None:
    let_in(page, live_server.url, make_staff("member", tenant, "change_approval"))
    _open(page, live_server, waiting)
    approvals.decide(principal, waiting.pk, decision="reject", content_sha256=waiting.content_sha256, reason="Faster.")
    press(page, "e")
    page.get_by_label("Body").fill("An hour of my work.")
    press(page, "Control+Enter")

    expect(page.get_by_label("Your text", exact=True)).to_have_value(re.compile("An hour of my work."))
    picture(page, "approval-too-late")
    _open(page, live_server, waiting)
    page.get_by_role("button", name="Show it").click()
    expect(page.locator("#kept pre")).to_contain_text("An hour of my work.")
    page.get_by_role("button", name="Drop it").click()
    until(page, f"{KEPT} === 0")
