"""The dead-letter desk in a browser: by keyboard, wide and narrow, light and dark."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from agentapp.models import Approval, BulkReplay, Effect, Job, Tenant
from agentapp.services import approvals
from agentapp.services.principals import Principal
from tests import harness
from tests.admin.conftest import MakeStaff, Start, let_in, picture
from tests.lifecycle import desk_kinds

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def desk_page(page: Page, live_server: LiveServer, make_staff: MakeStaff, tenant: Tenant) -> Iterator[Page]:
    """A browser in which a person of the first tenant is logged in, on the first page."""
    let_in(page, live_server.url, make_staff("desk", tenant, "change_job"))
    yield page
    desk_kinds.broken.clear()


def _open(page: Page, live_server: LiveServer, job: Job) -> None:
    page.goto(f"{live_server.url}/admin/agentapp/deadletter/{job.pk}/change/", wait_until="load")


def test_a_letter_goes_back_to_a_stage_by_keyboard(
    dead: Job, desk_page: Page, live_server: LiveServer, screenshots: Path
) -> None:
    _open(desk_page, live_server, dead)
    desk_page.keyboard.press("s")
    expect(desk_page.get_by_label("The task goes back to this stage")).to_be_focused()
    picture(desk_page, screenshots, "letter-back")
    desk_page.keyboard.press("ArrowUp")
    desk_page.keyboard.press("Home")
    desk_page.keyboard.press("Control+Enter")

    expect(desk_page.get_by_text("the task went back")).to_be_visible()
    assert Job.objects.filter(workflow=dead.workflow, type="sample_lookup", state="available").count() == 3


def test_an_output_is_entered_by_keyboard(dead: Job, desk_page: Page, live_server: LiveServer) -> None:
    _open(desk_page, live_server, dead)
    desk_page.keyboard.press("f")
    expect(desk_page.get_by_label("Output, as a JSON object")).to_be_focused()
    content = '{"content": {"to": "a@sample.test", "subject": "a", "body": "by hand"}, "content_sha256": "a"}'
    desk_page.get_by_label("Output, as a JSON object").fill(content)
    desk_page.keyboard.press("Tab")
    desk_page.keyboard.type("I wrote it myself.")
    desk_page.keyboard.press("Control+Enter")

    expect(desk_page.get_by_text("Finished by hand: the task goes on")).to_be_visible()
    assert Approval.objects.get(workflow=dead.workflow).content["body"] == "by hand"


def test_an_effect_in_doubt_shows_its_two_ways_out(
    desk_page: Page, live_server: LiveServer, principal: Principal, screenshots: Path
) -> None:
    workflow = harness.run_workflow(principal, "desk_line")
    desk_kinds.broken.add("desk_send")
    approval = Approval.objects.get(workflow=workflow)
    approvals.decide(principal, approval.pk, decision="approve", content_sha256=approval.content_sha256)
    harness.drain()
    desk_kinds.broken.clear()
    _open(desk_page, live_server, Job.objects.get(state="dead_lettered"))

    expect(desk_page.get_by_text("Nobody knows whether this has arrived")).to_be_visible()
    picture(desk_page, screenshots, "letter-in-doubt")
    desk_page.keyboard.press("e")
    desk_page.keyboard.press("Control+Enter")
    expect(desk_page.get_by_label("I have found out that it has not arrived.").first).to_be_visible()
    assert Effect.objects.get().state == "unknown", "the box must be ticked first"
    desk_page.keyboard.press("Escape")
    desk_page.keyboard.press("p")
    desk_page.keyboard.press("Enter")

    expect(desk_page.get_by_text("Replayed: the job has a fresh budget")).to_be_visible()
    assert Effect.objects.get().state == "prepared"


def test_all_of_one_kind_are_replayed_and_stopped(
    desk_page: Page, live_server: LiveServer, start: Start, screenshots: Path
) -> None:
    for number in range(3):
        start(body=f"impossible {number}")
    desk_page.goto(f"{live_server.url}/admin/agentapp/deadletter/")
    picture(desk_page, screenshots, "letters")
    desk_page.get_by_role("link", name="Replay all").click()
    picture(desk_page, screenshots, "kind")
    desk_page.get_by_label("Batch").fill("2")
    desk_page.get_by_role("button", name="Replay them").click()

    expect(desk_page.get_by_text("a canary goes first")).to_be_visible()
    desk_page.get_by_text("Stop it").first.click()
    picture(desk_page, screenshots, "bulk")
    desk_page.get_by_label("Why?").fill("wrong cause")
    desk_page.get_by_role("button", name="Stop it").click()
    expect(desk_page.get_by_text("by user:desk: wrong cause")).to_be_visible()
    assert BulkReplay.objects.get().state == "aborted"
    desk_page.get_by_role("link", name="Bulk replays").first.click()
    desk_page.wait_for_url(re.compile("bulkreplay/$"))
    picture(desk_page, screenshots, "bulks")
