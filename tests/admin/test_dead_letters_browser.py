"""The dead-letter pages in a browser: by keyboard, wide and narrow, light and dark."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from agentapp.dispatch import bulk
from agentapp.models import Approval, BulkReplay, Effect, Job, Tenant
from agentapp.policies.content import canonical_sha256
from agentapp.services import letter_groups
from tests.admin.conftest import MakeStaff, Start, let_in, picture
from tests.browser import press, resize, take_picture
from tests.lifecycle import dead_letter_kinds

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def letter_page(page: Page, live_server: LiveServer, make_staff: MakeStaff, tenant: Tenant) -> Iterator[Page]:
    """A browser in which a person of the first tenant is logged in, on the first page."""
    dead_letter_kinds.reset()
    let_in(page, live_server.url, make_staff("member", tenant, "change_job"))
    yield page
    dead_letter_kinds.reset()


def _open(page: Page, live_server: LiveServer, job: Job) -> None:
    page.goto(f"{live_server.url}/admin/agentapp/deadletter/{job.pk}/change/", wait_until="load")


def test_a_letter_goes_back_to_a_stage_by_keyboard(dead: Job, letter_page: Page, live_server: LiveServer) -> None:
    _open(letter_page, live_server, dead)
    press(letter_page, "n")
    expect(letter_page.get_by_label("What is the client told?")).to_be_focused()
    picture(letter_page, "letter-notify")
    press(letter_page, "Escape")
    press(letter_page, "s")
    expect(letter_page.get_by_label("The task goes back to the latest round")).to_be_focused()
    picture(letter_page, "letter-back")
    press(letter_page, "ArrowUp")
    press(letter_page, "Home")
    press(letter_page, "Control+Enter")

    expect(letter_page.get_by_text("the task went back")).to_be_visible()
    assert Job.objects.filter(workflow=dead.workflow, type="sample_lookup", state="available").count() == 3


def test_an_output_is_entered_by_keyboard(dead: Job, letter_page: Page, live_server: LiveServer) -> None:
    _open(letter_page, live_server, dead)
    press(letter_page, "f")
    expect(letter_page.locator("#output-content")).to_be_focused()
    letter_page.locator("#output-content").fill('{"to": "a@sample.test", "subject": "a", "body": "by hand"}')
    letter_page.locator("#enter-reason").fill("I wrote it myself.")
    picture(letter_page, "letter-output")
    press(letter_page, "Control+Enter")

    expect(letter_page.get_by_text("Finished by hand: the task continues")).to_be_visible()
    approval = Approval.objects.get(workflow=dead.workflow)
    assert (approval.content["body"], approval.content_sha256) == ("by hand", canonical_sha256(approval.content))


def test_an_effect_in_doubt_shows_its_two_ways_out(letter_page: Page, live_server: LiveServer, in_doubt: Job) -> None:
    _open(letter_page, live_server, in_doubt)

    expect(letter_page.get_by_text("Nobody knows whether this has arrived")).to_be_visible()
    picture(letter_page, "letter-in-doubt")
    press(letter_page, "w")
    letter_page.get_by_text("Other ways").click()
    letter_page.get_by_text("Edit the payload as JSON").click()
    letter_page.locator("#payload").focus()
    press(letter_page, "Control+Enter")
    expect(letter_page.locator("details[open] #edit-reason")).to_be_visible()
    assert Effect.objects.get().state == "unknown", "the box must be ticked first"
    letter_page.get_by_text("It did not arrive: send again").click()
    picture(letter_page, "letter-in-doubt-again")
    letter_page.locator("#found-out").fill("The log of the mail server has no such id.")
    letter_page.get_by_role("button", name="Send it again").click()

    expect(letter_page.get_by_text("Replayed: the job has all its attempts again")).to_be_visible()
    assert Effect.objects.get().state == "prepared"


def test_all_of_one_kind_are_replayed_and_stopped(letter_page: Page, live_server: LiveServer, start: Start) -> None:
    for number in range(3):
        start(body=f"impossible {number}")
    letter_page.goto(f"{live_server.url}/admin/agentapp/deadletter/")
    picture(letter_page, "letters")
    press(letter_page, "j")
    expect(letter_page.locator(".groups tbody th a")).to_be_focused()
    press(letter_page, "j")
    expect(letter_page.locator("#result_list tbody th a").first).to_be_focused()
    press(letter_page, "?")
    expect(letter_page.get_by_role("dialog")).to_contain_text("Open the row")
    press(letter_page, "Escape")
    letter_page.get_by_role("link", name="Replay all").click()
    picture(letter_page, "kind")
    letter_page.get_by_label("Batch").fill("2")
    letter_page.get_by_role("button", name="Replay them").click()

    expect(letter_page.get_by_text("a canary goes first")).to_be_visible()
    running = letter_page.locator("dl.facts-row div", has_text="Running").locator("dd")
    expect(running).to_have_text("0")
    bulk.go_on()
    expect(running).to_have_text("1")  # the page was not loaded again
    letter_page.get_by_text("Stop it").first.click()
    picture(letter_page, "bulk")
    letter_page.get_by_label("Why?").fill("wrong cause")
    letter_page.get_by_role("button", name="Stop it").click()
    expect(letter_page.get_by_text("by member: wrong cause")).to_be_visible()
    expect(letter_page.locator("[data-refresh]")).to_have_count(0)
    assert BulkReplay.objects.get().state == "aborted"
    letter_page.get_by_role("link", name="Bulk replays").first.click()
    letter_page.wait_for_url(re.compile("bulkreplay/$"))
    picture(letter_page, "bulks")


def test_hostile_texts_do_nothing_and_keep_the_layout(
    letter_page: Page, live_server: LiveServer, in_doubt: Job
) -> None:
    address = f"{'a' * 64}@{'b' * 61}.test"
    hostile = f"</pre><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>\u202e{'W' * 20_000}"
    arabic = "\u0645\u0631\u062d\u0628\u0627 " * 40
    error = {"class": "Effect" + "W" * 94, "kind": "permanent", "message": hostile}
    Approval.objects.update(content={"to": address, "subject": arabic + hostile, "body": hostile})
    Job.objects.filter(pk=in_doubt.pk).update(error=error, payload=(in_doubt.payload or {}) | {hostile[:90]: hostile})
    in_doubt.attempts.update(error_class=error["class"], error_message=arabic + hostile, trace=hostile)
    in_doubt.refresh_from_db()
    group = f"?fingerprint={letter_groups.fingerprint_of(in_doubt)}"

    _open(letter_page, live_server, in_doubt)
    expect(letter_page.get_by_text(address)).to_be_visible()
    for name, path in (("letter", f"deadletter/{in_doubt.pk}/change/"), ("list", "deadletter/"),
                       ("kind", f"bulkreplay/add/{group}")):  # fmt: skip
        letter_page.goto(f"{live_server.url}/admin/agentapp/{path}", wait_until="load")
        expect(letter_page.get_by_text("EffectWWW").first).to_be_visible()
        for width in (1280, 390):
            resize(letter_page, width)
            take_picture(letter_page, f"hostile-{name}-{width}")
            assert letter_page.evaluate("document.documentElement.scrollWidth") <= width, f"{name} at {width}"
        assert letter_page.evaluate("window.hacked") is None
