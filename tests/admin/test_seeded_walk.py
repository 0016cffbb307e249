"""What those who approve and an operator do, on sample data: once by keyboard alone, once by mouse. [G1]-[G5] [F3]"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from agentapp.dispatch import bulk
from agentapp.lifecycle import gates
from agentapp.models import Approval, BulkReplay, Effect, Job, Limit, Membership, Tenant, Workflow
from agentapp.policies.permissions import WORKER_CLASS_SCOPES
from agentapp.states import KeyMode
from bench import seed
from tests import harness
from tests.acceptance.scale import LONG, sized
from tests.admin import seeded_tasks
from tests.admin.conftest import let_in
from tests.admin.hands import HANDS, Hand
from tests.admin.test_operations_browser import measured
from tests.admin.ways import APPROVAL, LETTER, choose_filter, go, group_row, home, letter_of, of_class, open_first

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.timeout(sized(300, 3600))]
SIZES = seed.Sizes(sized(60, 10_000), sized(16, 500), sized(30, 2_000), tenants=2)
OUTPUT = {"outcome": "sent", "reply": '{"to": "a@sample.test"}', "message_id": "a", "effect_id": "b"}


@pytest.fixture
def shown(page: Page, live_server: LiveServer, tenant: Tenant) -> Iterator[Page]:
    """The first page of who runs the platform, on sample data."""
    seed.fill(SIZES)
    seed.analyze()
    harness.index()
    measured()
    gates.know([f"queue:{name}" for name in WORKER_CLASS_SCOPES])
    let_in(page, live_server.url, User.objects.create(username="operator", is_staff=True, is_superuser=True))
    yield page


def _the_inbox_is_worked_off(hand: Hand, shown: Page) -> None:
    go(hand, shown, shown.get_by_role("link", name=re.compile("waiting approvals")), "state__exact=pending")
    choose_filter(hand, shown, "low", "risk__exact=low")
    open_first(hand, shown, APPROVAL)
    first = shown.url
    go(hand, shown, shown.get_by_role("link", name="Next"), f"^(?!{re.escape(first)})", key="j")
    expect(shown, "the next one is of the same list").to_have_url(re.compile("risk__exact%3Dlow"))
    go(hand, shown, shown.get_by_role("link", name="Previous"), re.escape(first), key="k")

    hand.use(shown.get_by_role("button", name="Claim"), key="c")
    expect(shown.get_by_text("You look after this")).to_be_visible()
    hand.use(shown.get_by_role("button", name="Release"))
    expect(shown.get_by_text("Nobody looks after this")).to_be_visible()
    hand.choose(shown.get_by_label("Snooze for"), "4 hours")
    hand.use(shown.get_by_role("button", name="Snooze"))
    expect(shown.get_by_label("Snoozed")).to_contain_text("lists show it again")
    hand.use(shown.get_by_role("button", name="Show it in lists again"))
    expect(shown.get_by_label("Snoozed")).to_have_count(0)

    hand.write(shown.get_by_label("Body"), "My own words.", key="e")
    hand.use(shown.get_by_role("button", name="Save edit and approve"))
    expect(shown.get_by_text("Approved with your edit")).to_be_visible()
    hand.use(shown.get_by_role("button", name="Approve and send"), key="a")
    expect(shown.get_by_text("Approved: it is being sent.")).to_be_visible()
    hand.write(shown.get_by_label("Why?"), "It was answered by telephone.", key="x")
    hand.use(shown.locator("details[data-key=x]").get_by_role("button", name="Reject"))
    expect(shown.get_by_text("Rejected: nothing is sent.")).to_be_visible()
    states = Approval.objects.exclude(decided_by_user=None).order_by("decided_at").values_list("state", flat=True)
    assert list(states) == ["approved", "approved", "rejected"]


def _equal_mails_are_approved_together(hand: Hand, shown: Page) -> None:
    mine = Approval.objects.filter(decided_by_user__username="operator", state="approved")
    before = mine.count()
    home(hand, shown, "Approvals", "/approval/")
    choose_filter(hand, shown, "low", "risk__exact=low")
    choose_filter(hand, shown, "Pending", "state__exact=pending")
    boxes = shown.locator("#result_list tbody input.action-select")
    for number in range(2):
        hand.use(boxes.nth(number))
    hand.choose(shown.get_by_label("Action:"), "Approve equal mails of low risk")
    go(hand, shown, shown.get_by_role("button", name="Go", exact=True), "/equal/")
    expect(shown.get_by_role("heading", name="Mail 2 of 2")).to_be_visible()
    hand.use(shown.get_by_role("button", name="Approve and send 2 mails"), key="a")
    expect(shown.get_by_role("heading", name="2 mails approved")).to_be_visible()
    assert mine.count() == before + 2


def _dead_letters_are_replayed_cancelled_and_finished_by_hand(hand: Hand, shown: Page) -> None:
    home(hand, shown, "Dead letters", "/deadletter/")
    go(hand, shown, group_row(shown, "CannotBeSent").get_by_role("link").first, of_class("CannotBeSent"))
    open_first(hand, shown, LETTER)
    replayed = letter_of(shown)
    hand.use(shown.get_by_role("button", name="Replay as it is"), key="p")
    expect(shown.get_by_text("Replayed: the job has all its attempts again")).to_be_visible()

    cancelled = letter_of(shown)
    hand.write(shown.locator("details[data-key=x] textarea"), "The customer left.", key="x")
    hand.use(shown.get_by_role("button", name="Cancel the task"))
    expect(shown.get_by_text("The task was cancelled.")).to_be_visible()

    resolved = letter_of(shown)
    write_output(hand, shown, key="f")
    hand.use(shown.locator("details[data-key=f]").get_by_role("button", name="Continue with these values"))
    expect(shown.get_by_text("Finished by hand: the task continues")).to_be_visible()
    ends = [Job.objects.get(pk=pk).state for pk in (replayed, cancelled, resolved)]
    assert ends == ["available", "cancelled", "completed"]


def write_output(hand: Hand, page: Page, *, key: str = "") -> None:
    """Fill in what a job would have returned: the fields that the result of its task reads."""
    for field, text in OUTPUT.items():
        hand.write(page.locator(f"#output-{field}"), text, key=key)
        key = ""
    hand.write(page.locator("#enter-reason"), "The log of the mail server has it.")


def _an_effect_in_doubt_is_decided_both_ways(hand: Hand, shown: Page) -> None:
    home(hand, shown, "Dead letters", "/deadletter/")
    go(
        hand,
        shown,
        group_row(shown, "EffectUnknown").get_by_role("link", name="Decide each"),
        of_class("EffectUnknown"),
    )
    open_first(hand, shown, LETTER)
    unknown = Effect.objects.filter(state="unknown").count()
    doubt = shown.get_by_role("region", name="Nobody knows whether this has arrived")
    hand.use(doubt.get_by_text("It arrived", exact=True))
    write_output(hand, shown)
    hand.use(doubt.get_by_role("button", name="Continue with these values"))
    expect(shown.get_by_text("Finished by hand: the task continues")).to_be_visible()

    hand.use(doubt.get_by_text("It did not arrive: send again"))
    hand.write(shown.locator("#found-out"), "The log of the mail server has no such id.")
    hand.use(doubt.get_by_role("button", name="Send it again"))
    expect(shown.get_by_text("Replayed: the job has all its attempts again")).to_be_visible()
    assert Effect.objects.filter(state="unknown").count() == unknown - 2


def _all_of_one_cause_are_replayed_and_stopped(hand: Hand, shown: Page) -> None:
    home(hand, shown, "Dead letters", "/deadletter/")
    go(hand, shown, group_row(shown, "OutputInvalid").get_by_role("link", name="Replay all"), "/bulkreplay/add/")
    hand.write(shown.get_by_label("Canary"), "2")
    hand.use(shown.get_by_role("button", name="Replay them"))
    running = shown.locator("dl.facts-row div", has_text="Running").locator("dd")
    expect(running).to_have_text("0")
    bulk.go_on()
    expect(running).to_have_text("2")  # the page was not loaded again
    hand.use(shown.get_by_text("Stop it").first)
    hand.write(shown.get_by_label("Why?"), "The wrong cause.")
    hand.use(shown.get_by_role("button", name="Stop it"))
    expect(shown.get_by_text("by operator: The wrong cause.")).to_be_visible()
    row = BulkReplay.objects.get()
    assert (row.state, len(row.replayed)) == ("aborted", 2)
    assert Job.objects.filter(state="available", type="evaluate_answer").count() == 2


def _a_task_is_found_kept_forked_and_compared(hand: Hand, shown: Page) -> None:
    home(hand, shown, "Tasks", "/workflow/")
    rows = shown.locator("#result_list tbody tr")
    choose_filter(hand, shown, "Needs attention", "state__exact=needs")
    expect(rows.first.locator(".field-why")).not_to_have_text("-")
    hand.write(shown.locator("#searchbar"), "invoices")
    go(hand, shown, shown.locator("#changelist-search").get_by_role("button", name="Search"), "q=invoices")
    assert 0 < rows.count() <= 50
    hand.use(shown.get_by_text("Keep these filters"))
    hand.write(shown.get_by_label("As", exact=True), "Invoices that failed")
    hand.use(shown.get_by_role("button", name="Keep", exact=True))
    expect(shown.get_by_text("Kept as Invoices that failed.")).to_be_visible()
    home(hand, shown, "Tasks", "/workflow/$")
    go(hand, shown, shown.get_by_role("link", name="Invoices that failed"), "q=invoices")
    open_first(hand, shown, re.compile(r"/workflow/[0-9a-f-]+/change/"))

    origin = Workflow.objects.get(pk=shown.url.split("/")[-3])
    go(hand, shown, shown.get_by_role("link", name="fork it there"), f"/console/.*{origin.pk}")
    hand.use(shown.get_by_role("button", name="Start the fork"))
    shown.wait_for_url(re.compile(f"/console/(?!.*{origin.pk})"), wait_until="load")
    fork = Workflow.objects.get(forked_from=origin.pk)
    shown.goto(shown.url.split("/console/")[0] + f"/admin/agentapp/workflow/{fork.pk}/change/")
    go(hand, shown, shown.get_by_role("link", name="compare both"), "/compare/")
    expect(shown.get_by_role("heading", name="The right one is a fork of the left one")).to_be_visible()
    hand.write(shown.get_by_label("beside task"), str(origin.pk))
    go(hand, shown, shown.get_by_role("button", name="Compare"), f"after={origin.pk}")
    expect(shown.get_by_role("heading", name="Both tasks")).to_be_visible()


def _the_platform_is_looked_at_and_a_gate_is_switched(hand: Hand, shown: Page) -> None:
    go(hand, shown, shown.get_by_role("banner").get_by_role("link", name="agentapp"), "/admin/$")
    periods = shown.get_by_role("navigation", name="Period")
    for words, name in (("24 hours", "24h"), ("7 days", "7d"), ("hour", "1h")):
        go(hand, shown, periods.get_by_role("link", name=re.compile(f"^{words}")), f"period={name}")
        expect(periods.locator("[aria-current]")).to_contain_text(words)
    go(hand, shown, shown.get_by_role("link", name="All limits, to pause and resume"), "/limit/")
    go(hand, shown, shown.locator("#result_list").get_by_role("link", name="send"), "/limit/.*/change/")
    hand.write(shown.locator("#pause-reason"), "A disk is full.", key="p")
    hand.use(shown.get_by_role("button", name=re.compile("^Pause")))
    expect(shown.get_by_text("Paused: no job starts")).to_be_visible()
    assert Limit.objects.get(key="queue:send").mode == KeyMode.PAUSED
    hand.write(shown.locator("#resume-reason"), "It has room again.", key="r")
    hand.use(shown.get_by_role("button", name=re.compile("^Resume")))
    expect(shown.get_by_text("Resumed: jobs start again")).to_be_visible()
    assert Limit.objects.get(key="queue:send").mode == KeyMode.OPEN


def _a_colleague_is_added(hand: Hand, shown: Page) -> None:
    name = f"colleague-by-{type(hand).__name__.lower()}"
    go(hand, shown, shown.get_by_role("banner").get_by_role("link", name="agentapp"), "/admin/$")
    go(hand, shown, shown.get_by_role("link", name="Memberships", exact=True), "/membership/")
    go(hand, shown, shown.locator(".object-tools a.addlink"), "/membership/add/")
    hand.write(shown.get_by_label("Name:"), name)
    hand.choose(shown.get_by_label("Tenant", exact=True), "sample-1, Sample Company 1")
    hand.choose(shown.get_by_label("Role in this tenant"), "agent")
    hand.use(shown.get_by_role("button", name="Add the colleague"))
    expect(shown.get_by_text("The password is shown only once.")).to_be_visible()
    assert Membership.objects.get(user__username=name).role == "agent"


# Other browser tests use a mouse all along, and gates, bulk replays and comparisons have their own: the long form alone
# does all of it, and by both.
PARTS = (
    _the_inbox_is_worked_off, _dead_letters_are_replayed_cancelled_and_finished_by_hand,
    _an_effect_in_doubt_is_decided_both_ways, _a_colleague_is_added, _equal_mails_are_approved_together,
    _all_of_one_cause_are_replayed_and_stopped, _a_task_is_found_kept_forked_and_compared,
    _the_platform_is_looked_at_and_a_gate_is_switched, *seeded_tasks.PARTS,
)  # fmt: skip


@pytest.mark.parametrize("name", HANDS if LONG else ["keyboard"])
def test_every_task_of_the_admin_is_done_by_hand(shown: Page, name: str) -> None:
    for part in PARTS if LONG else PARTS[:4]:
        started = time.monotonic()
        part(HANDS[name], shown)
        print(f"{name}: {part.__name__}, {time.monotonic() - started:.1f} s")
