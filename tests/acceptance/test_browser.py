"""A dead letter as a person meets it: the provider refuses, the payload is fixed in the admin, the mail is sent."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.acceptance.deployment import Deployment
from tests.acceptance.test_flower import QUESTION
from tests.browser import press

pytestmark = [pytest.mark.acceptance, pytest.mark.browser]

# The model server answers 400 to a ticket that holds it, in whatever form an answer is asked for.
OFFENCE = "unspeakable-word"


def test_a_refused_request_is_fixed_and_replayed_to_a_sent_mail(deployment: Deployment, page: Page) -> None:
    subject = f"A question with an {OFFENCE}"
    deployment.fail("status", status=400, times=None, match={"contains": f"<subject>{subject}</subject>"})
    task = deployment.submit("support_reply", **QUESTION | {"subject": subject})
    deployment.reach(task, "needs_attention")
    letter = deployment.job(task, "classify_ticket")

    page.goto(deployment.about["admin_url"])
    page.fill("[name=username]", deployment.about["admin_user"])
    page.fill("[name=password]", deployment.about["admin_password"])
    press(page, "Enter")
    page.get_by_role("link", name="Dead letters").first.click()
    page.goto(f"{deployment.about['admin_url']}agentapp/deadletter/{letter['id']}/change/")
    expect(page.get_by_text("ModelRefused").first).to_be_visible()
    page.locator("#payload-subject").fill("A question")
    page.get_by_role("button", name="Replay with these values").click()
    expect(page.get_by_text("Replayed: the job has all its attempts again")).to_be_visible()

    deployment.reach(task, "awaiting_approval")
    page.goto(f"{deployment.about['admin_url']}agentapp/workflow/{task}/change/")
    page.get_by_role("link", name="Open it").first.click()
    page.wait_for_url(re.compile(r"/approval/.*/change/"), wait_until="load")
    press(page, "a")
    press(page, "Enter")
    expect(page.get_by_text("Approved: it is being sent.")).to_be_visible()
    assert deployment.reach(task, "completed")["result"]["outcome"] == "sent"
