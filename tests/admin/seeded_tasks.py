"""Further tasks of the walk on sample data, in its long form alone: by several people, undone, rules, many at once."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from uuid import UUID

from django.contrib.auth.models import User
from django.test import override_settings
from django.utils import timezone
from playwright.sync_api import Page, expect

from agentapp.dispatch import bulk_cancel
from agentapp.models import (
    Approval,
    ApprovalPolicy,
    BulkCancellation,
    Delegation,
    Job,
    Membership,
    Tenant,
    Workflow,
)
from tests.admin.conftest import let_in
from tests.admin.hands import Hand
from tests.admin.ways import APPROVAL, LETTER, choose_filter, go, group_row, home, letter_of, of_class, open_first
from tests.browser import press


def _first_that_waits(hand: Hand, shown: Page, *, risk: str) -> UUID:
    home(hand, shown, "Approvals", "/approval/")
    choose_filter(hand, shown, risk, f"risk__exact={risk}")
    choose_filter(hand, shown, "Pending", "state__exact=pending")
    open_first(hand, shown, APPROVAL)
    return UUID(shown.url.split("/change/")[0].split("/")[-1])


def _somebody(name: str) -> User:
    """One more who may decide everywhere."""
    return User.objects.get_or_create(username=name, defaults={"is_staff": True, "is_superuser": True})[0]


def _one_goes_to_a_colleague_and_back_and_is_written_anew(hand: Hand, shown: Page) -> None:
    _somebody("colleague")
    approval = _first_that_waits(hand, shown, risk="low")
    hand.choose(shown.get_by_label("Assign to"), "colleague")
    hand.use(shown.get_by_role("button", name="Assign", exact=True))
    expect(shown.get_by_label("Claimed")).to_contain_text("colleague looks after this")
    hand.use(shown.get_by_role("button", name="Take over"))
    expect(shown.get_by_text("You look after this")).to_be_visible()
    hand.write(shown.locator("#remark"), "Name the invoice.", key="r")
    hand.use(shown.get_by_role("button", name="Send it back"))
    expect(shown.get_by_text("Your remark went back: another draft will come.")).to_be_visible()
    assert Approval.objects.get(pk=approval).state == "changes_requested"


def _an_approval_is_undone(hand: Hand, shown: Page) -> None:
    with override_settings(AGENTAPP_SEND_HOLD_S=300.0):
        approval = _first_that_waits(hand, shown, risk="low")
        # A hold is over before half of what a task has left, and sample data are old.
        Workflow.objects.filter(approvals=approval).update(deadline_at=timezone.now() + timedelta(days=1))
        hand.use(shown.get_by_role("button", name="Approve and send"), key="a")
        hand.use(shown.get_by_role("button", name="Undo"), key="u")
        expect(shown.get_by_text("Withdrawn: nothing was sent.")).to_be_visible()
    assert Approval.objects.get(pk=approval).state == "reopened"


def _high_risk_takes_a_second_step(hand: Hand, shown: Page) -> None:
    approval = _first_that_waits(hand, shown, risk="high")
    hand.use(shown.get_by_role("button", name="Approve and send"), key="a")
    expect(shown.get_by_role("heading", name="Second step: confirm")).to_be_visible()
    assert Approval.objects.get(pk=approval).state == "pending"
    hand.use(shown.get_by_role("button", name="Yes, approve and send"), key="a")
    expect(shown.get_by_text("Approved: it is being sent.")).to_be_visible()
    assert Approval.objects.get(pk=approval).state == "approved"


def _two_people_approve_the_same(hand: Hand, shown: Page) -> None:
    approval = _first_that_waits(hand, shown, risk="low")
    Approval.objects.filter(pk=approval).update(policy={"name": "Two of us", "quorum": 2})
    page, site = shown.url, shown.url.split("/admin/")[0]
    shown.reload()
    hand.use(shown.get_by_role("button", name="Approve and send"), key="a")
    expect(shown.get_by_text("Votes that are still missing for this content: 1.")).to_be_visible()

    let_in(shown, site, _somebody("second"))
    shown.goto(page)
    expect(shown.get_by_label("Votes")).to_contain_text("operator: approved")
    hand.use(shown.get_by_role("button", name="Approve and send"), key="a")
    expect(shown.get_by_text("Approved: it is being sent.")).to_be_visible()
    let_in(shown, site, User.objects.get(username="operator"))
    voters = Approval.objects.get(pk=approval).votes.values_list("user__username", flat=True)
    assert sorted(voters) == ["operator", "second"] and Approval.objects.get(pk=approval).state == "approved"


def _dead_letters_are_told_of_edited_and_taken_back(hand: Hand, shown: Page) -> None:
    home(hand, shown, "Dead letters", "/deadletter/")
    go(hand, shown, group_row(shown, "OutputInvalid").get_by_role("link").first, of_class("OutputInvalid"))
    open_first(hand, shown, LETTER)
    told = Job.objects.get(pk=letter_of(shown))
    hand.write(shown.locator("#notice"), "We look into it until tomorrow.", key="n")
    hand.use(shown.get_by_role("button", name="Notify the client"))
    expect(shown.get_by_text("The client is notified")).to_be_visible()

    edited = letter_of(shown)
    payload = {**(Job.objects.get(pk=edited).payload or {}), "body": "In other words."}
    hand.write(shown.locator("#payload"), json.dumps(payload), key="w")
    hand.use(shown.get_by_role("button", name="Replay with this payload"))
    expect(shown.get_by_text("Replayed: the job has all its attempts again")).to_be_visible()

    back = Job.objects.get(pk=letter_of(shown))
    hand.use(shown.locator("details[data-key=s] > summary"))
    hand.use(shown.get_by_role("button", name="Replay from there"))
    expect(shown.get_by_text("Replayed: the task went back to that stage")).to_be_visible()
    assert len(Workflow.objects.get(pk=told.workflow_id).notices or ()) == 1
    assert Job.objects.get(pk=edited).payload == payload
    assert Job.objects.filter(workflow=back.workflow_id, state="available").exists()


def _a_rule_is_made_and_a_colleague_decides_instead(hand: Hand, shown: Page) -> None:
    name, tenant = f"By {type(hand).__name__}", Tenant.objects.get(slug="sample-1")
    for person in ("kim", "lee"):
        user = User.objects.get_or_create(username=person, defaults={"is_staff": True})[0]
        Membership.objects.get_or_create(user=user, tenant=tenant, defaults={"role": "agent"})
    go(hand, shown, shown.get_by_role("banner").get_by_role("link", name="agentapp"), "/admin/$")
    go(hand, shown, shown.get_by_role("link", name="Approval policies", exact=True), "/approvalpolicy/")
    go(hand, shown, shown.locator(".object-tools a.addlink"), "/approvalpolicy/add/")
    hand.write(shown.get_by_label("Name", exact=True), name)
    hand.write(shown.get_by_label("Workflow kind"), "support_reply")
    hand.choose(shown.get_by_label("Four eyes"), "yes")
    hand.use(shown.get_by_role("button", name="Add the policy"))
    expect(shown.get_by_text(f"Saved: the approval policy {name}")).to_be_visible()
    assert ApprovalPolicy.objects.get(name=name).four_eyes

    go(hand, shown, shown.get_by_role("banner").get_by_role("link", name="agentapp"), "/admin/$")
    go(hand, shown, shown.get_by_role("link", name="Delegations", exact=True), "/delegation/")
    go(hand, shown, shown.locator(".object-tools a.addlink"), "/delegation/add/")
    hand.choose(shown.get_by_label("Who is away"), "kim")
    hand.choose(shown.get_by_label("Who decides in their place"), "lee")
    hand.choose(shown.get_by_label("Tenant", exact=True), "sample-1, Sample Company 1")
    hand.choose_day(shown.get_by_label("Last day"), timezone.now().date() + timedelta(days=7))
    hand.use(shown.get_by_role("button", name="Delegate", exact=True))
    expect(shown.get_by_text("Until then lee decides in the place of kim.")).to_be_visible()
    assert Delegation.objects.get(tenant=tenant).delegate.username == "lee"


def _records_are_found_by_an_id_and_by_words(hand: Hand, shown: Page) -> None:
    task = Workflow.objects.filter(state="completed").order_by("pk").first()
    assert task is not None
    hand.write(shown.get_by_role("searchbox"), str(task.pk))
    press(shown, "Enter")
    shown.wait_for_url(re.compile(f"/workflow/{task.pk}/change/"), wait_until="load")
    hand.write(shown.get_by_role("searchbox"), "invoices")
    press(shown, "Enter")
    shown.wait_for_url(re.compile("/search/"), wait_until="load")
    go(hand, shown, shown.locator(".sheet tbody a").first, "/change/")


def _many_tasks_are_cancelled_at_once(hand: Hand, shown: Page) -> None:
    home(hand, shown, "Tasks", "/workflow/")
    go(hand, shown, shown.get_by_role("link", name="Cancel many"), "/bulkcancellation/add/")
    hand.choose(shown.get_by_label("Tenant", exact=True), "sample-2")
    hand.choose(shown.get_by_label("State"), "needs_attention")
    hand.write(shown.get_by_label("Why?"), "The customer left.")
    hand.use(shown.get_by_role("button", name="Show what fits"))
    fits = Workflow.objects.filter(tenant__slug="sample-2", state="needs_attention")
    expect(shown.get_by_role("status").filter(has_text="open task")).to_contain_text(f"{fits.count()} open tasks fit")
    hand.use(shown.get_by_role("button", name=re.compile("^Cancel [0-9]+ tasks")))
    expect(shown.get_by_text("Begun: the tasks are cancelled one after the other.")).to_be_visible()
    while bulk_cancel.go_on():
        pass
    # The page was not loaded again.
    expect(shown.get_by_role("status").filter(has_text=re.compile("done", re.IGNORECASE))).to_be_visible()
    row = BulkCancellation.objects.get()
    assert row.cancelled > 0 and not fits.exists()


PARTS = (
    _one_goes_to_a_colleague_and_back_and_is_written_anew, _an_approval_is_undone, _high_risk_takes_a_second_step,
    _two_people_approve_the_same, _dead_letters_are_told_of_edited_and_taken_back,
    _a_rule_is_made_and_a_colleague_decides_instead, _records_are_found_by_an_id_and_by_words,
    _many_tasks_are_cancelled_at_once,
)  # fmt: skip
