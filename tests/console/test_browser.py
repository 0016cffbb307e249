"""The console as people use it: in a browser, live, by keyboard, over a line that is cut. [G4]"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import redis
from playwright.sync_api import Page, expect

from agentapp.models import Approval, Tenant, Workflow
from agentapp.runtime import preview
from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests import harness
from tests.admin.conftest import MakeStaff, let_in, picture
from tests.api import live
from tests.browser import press
from tests.streams.test_text import take, write

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture(scope="module")
def web(django_db_setup: None) -> Iterator[live.Web]:
    """The web process itself: streams need its event loop."""
    with live.serving(live.environment() | {"AGENTAPP_EXTENSIONS": "tests.console.extension"}) as running:
        yield running


@pytest.fixture
def console(page: Page, web: live.Web, make_staff: MakeStaff, tenant: Tenant) -> Page:
    """A browser in which a person of the first tenant looks at the console."""
    permissions = ("change_approval", "change_job", "change_workflow")
    let_in(page, web.url, make_staff("member", tenant, *permissions))
    page.goto(f"{web.url}/console/")
    return page


def is_live(page: Page) -> None:
    expect(page.locator("[data-says]")).to_have_text("Live")


def test_a_task_is_started_followed_decided_and_read(console: Page, principal: Principal) -> None:
    is_live(console)
    console.goto(console.url + "new/sample_reply/")
    console.get_by_label("Subject").fill("Where are my invoices?")
    console.get_by_label("Body").fill("I cannot find them.")
    press(console, "Control+Enter")
    console.wait_for_url(re.compile(r"/console/tasks/"))
    is_live(console)
    expect(console.locator("[data-part=facts]")).to_contain_text("pending")

    harness.drain()

    # Nobody has loaded the page again.
    expect(console.get_by_role("region", name="Waits for a decision")).to_contain_text("you asked: I cannot find them.")
    expect(console.locator("[data-part=facts]")).to_contain_text("awaiting approval")
    picture(console, "console-approval")
    here = console.url
    press(console, "d")
    console.wait_for_url(re.compile(r"/approval/[0-9a-f-]+/change/"))
    press(console, "a")
    expect(console.get_by_role("button", name="Approve and send")).to_be_focused()
    press(console, "Enter")
    expect(console.get_by_text("Approved: it is being sent.")).to_be_visible()
    console.goto(here)
    is_live(console)
    harness.drain()

    expect(console.locator("[data-part=result]")).to_contain_text("you asked: I cannot find them.")
    expect(console.locator("[data-part=facts]")).to_contain_text("completed")
    expect(console.locator("[data-says]")).to_have_text("")
    picture(console, "console-result")
    assert Workflow.objects.get().state == "completed"


def test_the_list_shows_what_happens_elsewhere(console: Page, principal: Principal) -> None:
    is_live(console)
    expect(console.get_by_text("No task yet.")).to_be_visible()

    for number in range(3):
        workflows.submit(principal, kind="sample_reply", input={"subject": f"Question {number}"})
    expect(console.locator(".tasks tbody tr")).to_have_count(3)
    harness.drain()

    expect(console.locator(".tasks").get_by_text("awaiting approval")).to_have_count(3)
    picture(console, "console-list")


def test_a_text_is_seen_while_it_is_written(console: Page, principal: Principal, broker: redis.Redis) -> None:
    task = workflows.submit(principal, kind="sample_reply", input={"parts": [1]})
    console.goto(f"{console.url}tasks/{task.pk}/")
    is_live(console)
    writing = console.locator("#writing")
    expect(writing).to_be_hidden()

    with preview.of(take(task)) as shown:
        write(shown, "Dear <b>reader</b>, ")
        expect(writing).to_contain_text("Dear <b>reader</b>,")
        write(shown, "your invoice")
        expect(writing).to_contain_text("Dear <b>reader</b>, your invoice")
    workflows.cancel(principal, task.pk, reason="not needed any more")

    expect(console.locator("[data-part=facts]")).to_contain_text("cancelled")
    expect(writing).to_be_hidden()


def test_a_line_that_was_cut_is_taken_up_again(console: Page, principal: Principal, waiting: Approval) -> None:
    console.goto(f"{console.url}tasks/{waiting.workflow_id}/")
    is_live(console)
    console.context.set_offline(True)
    console.evaluate("window.stop()")
    expect(console.locator("[data-says]")).to_contain_text("The connection is lost")

    workflows.cancel(principal, waiting.workflow_id, reason="not needed any more")
    expect(console.locator("[data-part=facts]")).to_contain_text("awaiting approval")
    console.context.set_offline(False)

    expect(console.locator("[data-part=facts]")).to_contain_text("cancelled")
    expect(console.get_by_text("not needed any more")).to_be_visible()
    expect(console.get_by_role("link", name="Decide on its page")).to_have_count(0)


def test_what_somebody_writes_stays_while_the_task_goes_on(
    console: Page, principal: Principal, waiting: Approval
) -> None:
    console.goto(f"{console.url}tasks/{waiting.workflow_id}/")
    is_live(console)
    console.get_by_text("Fork: once more").click()
    console.get_by_label("Body").fill("My own words.")

    workflows.cancel(principal, waiting.workflow_id, reason="not needed any more")

    expect(console.locator("[data-part=facts]")).to_contain_text("cancelled")
    expect(console.get_by_label("Body")).to_have_value("My own words.")
