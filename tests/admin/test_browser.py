"""The pages as people use them: in a browser, by keyboard, under the content policy."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from agentapp.models import Approval, Effect, Job, Tenant, Workflow
from agentapp.services import approvals
from agentapp.services.principals import Principal
from tests import harness
from tests.admin.conftest import MakeStaff, Start, let_in, picture
from tests.browser import press

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def letter_page(page: Page, live_server: LiveServer, make_staff: MakeStaff, tenant: Tenant) -> Page:
    """A browser in which a person of the first tenant is logged in, on the first page."""
    let_in(page, live_server.url, make_staff("member", tenant, "change_approval", "change_job", "change_workflow"))
    return page


def _open(page: Page, link: str) -> None:
    """Follow a link to an approval and wait until its keys work."""
    page.get_by_role("link", name=link).click()
    page.wait_for_url(re.compile(r"/approval/.*/change/"), wait_until="load")


def test_a_person_logs_in_and_approves_by_keyboard(
    waiting: Approval, page: Page, live_server: LiveServer, make_staff: MakeStaff, tenant: Tenant
) -> None:
    person = make_staff("member", tenant, "change_approval")
    person.set_password("a long password for tests")
    person.save()
    page.goto(f"{live_server.url}/admin/")
    picture(page, "sign-in")
    page.get_by_label("Username").fill("member")
    page.get_by_label("Password").fill("a long password for tests")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("link", name="Second factor").click()
    picture(page, "second-factor")
    page.get_by_role("link", name="Time zone").click()
    picture(page, "time-zone")
    page.get_by_role("link", name="Home").click()
    page.get_by_role("link", name="1 waiting approvals").click()
    _open(page, "Re: Where are my invoices?")
    expect(page.locator(".mail pre")).to_contain_text("Your invoices are kept under Billing > Documents. [1]")

    press(page, "a")
    expect(page.get_by_role("button", name="Approve and send")).to_be_focused()
    waiting.refresh_from_db()
    assert waiting.state == "pending", "one key alone must send nothing"
    press(page, "Enter")

    expect(page.get_by_text("Approved: it is being sent.")).to_be_visible()
    harness.drain()
    waiting.workflow.refresh_from_db()
    assert waiting.workflow.state == "completed"
    assert Effect.objects.get(workflow_id=waiting.workflow_id).state == "confirmed"


def test_changes_are_requested_by_keyboard_and_another_draft_comes(waiting: Approval, letter_page: Page) -> None:
    letter_page.get_by_role("link", name="1 waiting approvals").click()
    _open(letter_page, "Re: Where are my invoices?")

    press(letter_page, "r")
    expect(letter_page.get_by_label("What should the next draft do differently?")).to_be_focused()
    letter_page.keyboard.type("Say that the export is free. a r x are letters here.")
    press(letter_page, "Control+Enter")
    expect(letter_page.get_by_text("Your remark went back: another draft will come.")).to_be_visible()
    harness.drain()

    letter_page.get_by_role("link", name="Approvals", exact=True).first.click()
    letter_page.locator("#result_list tbody tr").first.get_by_role("link").click()
    expect(letter_page.locator(".diff ins")).to_contain_text("Say that the export is free.")
    assert Approval.objects.filter(workflow=waiting.workflow).count() == 2


def test_an_edit_is_approved_and_a_lost_race_is_told(
    letter_page: Page, live_server: LiveServer, waiting: Approval, principal: Principal
) -> None:
    letter_page.goto(f"{live_server.url}/admin/agentapp/approval/{waiting.pk}/change/")
    approvals.decide(
        principal, waiting.pk, decision="reject", content_sha256=waiting.content_sha256, reason="Somebody was faster."
    )

    press(letter_page, "e")
    expect(letter_page.get_by_label("Body")).to_be_focused()
    letter_page.get_by_label("Body").fill("Too late.")
    press(letter_page, "Control+Enter")

    expect(letter_page.locator(".messagelist")).to_contain_text("This approval is already rejected.")
    expect(letter_page.get_by_role("button", name="Approve and send")).to_have_count(0)


def test_keys_lead_from_one_approval_to_the_next_and_explain_themselves(
    letter_page: Page, live_server: LiveServer, start: Start
) -> None:
    first, second = (Approval.objects.get(workflow=start(subject=name)) for name in ("One", "Two"))
    letter_page.goto(f"{live_server.url}/admin/agentapp/approval/{first.pk}/change/")

    press(letter_page, "?")
    expect(letter_page.get_by_role("dialog")).to_contain_text("Request changes")
    press(letter_page, "Escape")
    press(letter_page, "x")
    expect(letter_page.get_by_label("Why?")).to_be_focused()
    press(letter_page, "Escape")
    press(letter_page, "j")
    letter_page.wait_for_url(re.compile(str(second.pk)), wait_until="load")
    press(letter_page, "k")
    letter_page.wait_for_url(re.compile(str(first.pk)))

    letter_page.goto(f"{live_server.url}/admin/agentapp/approval/")
    for key, field in (("x", "Why?"), ("r", "What should the next draft do differently?"), ("e", "Body")):
        press(letter_page, "j")
        press(letter_page, key)
        letter_page.wait_for_url(re.compile("/change/"), wait_until="load")
        expect(letter_page.get_by_label(field)).to_be_focused()
        letter_page.go_back(wait_until="load")
    press(letter_page, "j")
    press(letter_page, "a")
    expect(letter_page.get_by_role("button", name="Approve and send")).to_be_focused()


def test_there_are_no_keys_on_a_touch_screen(
    browser: Browser, live_server: LiveServer, make_staff: MakeStaff, tenant: Tenant, waiting: Approval
) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    touched = context.new_page()
    let_in(touched, live_server.url, make_staff("member", tenant, "change_approval"))
    touched.goto(f"{live_server.url}/admin/agentapp/approval/{waiting.pk}/change/")

    for key in "ax?":
        press(touched, key)
    expect(touched.get_by_role("button", name="Approve and send")).not_to_be_focused()
    expect(touched.locator("details[data-key][open], dialog[open]")).to_have_count(0)
    expect(touched.locator("[data-opens=keys]")).to_be_hidden()
    expect(touched.locator("[aria-keyshortcuts]")).to_have_count(0)
    touched.locator("details[data-key=x] > summary").click()
    press(touched, "Tab")
    expect(touched.get_by_label("Why?")).to_be_focused()
    press(touched, "Escape")
    expect(touched.get_by_label("Why?")).to_be_hidden()
    context.close()


def test_a_dead_letter_is_corrected_and_replayed_to_completion(dead: Job, letter_page: Page) -> None:
    letter_page.get_by_role("link", name="1 dead letters").click()
    letter_page.locator("#result_list").get_by_role("link", name="sample_draft").click()
    letter_page.get_by_label("Score").fill("much")
    letter_page.get_by_role("button", name="Replay with these values").click()
    expect(letter_page.locator("#payload-score-error")).to_contain_text("Write a number")
    expect(letter_page.get_by_label("Score")).to_have_value("much")
    letter_page.get_by_label("Score").fill("0.9")
    letter_page.get_by_label("Subject").fill("Corrected")
    letter_page.get_by_label("Body").fill("Where is it?")
    letter_page.get_by_role("button", name="Replay with these values").click()

    expect(letter_page.get_by_text("Replayed: the job has all its attempts again")).to_be_visible()
    harness.drain()
    letter_page.reload()
    _open(letter_page, "Open it")
    press(letter_page, "a")
    press(letter_page, "Enter")
    expect(letter_page.get_by_text("Approved: it is being sent.")).to_be_visible()
    harness.drain()
    assert Workflow.objects.get(pk=dead.workflow_id).state == "completed"


def test_the_theme_toggle_reaches_our_colours(letter_page: Page, live_server: LiveServer) -> None:
    letter_page.emulate_media(color_scheme="light")
    letter_page.goto(f"{live_server.url}/admin/")
    token = "getComputedStyle(document.querySelector('#header')).backgroundColor"
    light = letter_page.evaluate(token)

    letter_page.evaluate("document.documentElement.dataset.theme = 'dark'")
    assert letter_page.evaluate(token) != light
    letter_page.emulate_media(color_scheme="dark")
    letter_page.evaluate("document.documentElement.dataset.theme = 'light'")
    assert letter_page.evaluate(token) == light
