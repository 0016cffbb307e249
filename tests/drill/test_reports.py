"""How a report is shown: in the terminal, and in the admin to those who run the installation."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer
from rich.console import Console

from agentapp import clock
from agentapp.drill import screen
from agentapp.drill.answers import Answer, Verdict, passed
from agentapp.models import DrillReport, Tenant
from tests.admin.conftest import MakeStaff, let_in
from tests.admin.conftest import make_staff as make_staff
from tests.browser import browser as browser
from tests.browser import page as page

ANSWERS = [
    Answer("worker crash", Verdict.RED, "no worker serves the queue documents: start one", 60.04),
    Answer("duplicates", Verdict.GREEN, "40 messages for 10 jobs: 10 attempts, 10 effects", 1.5),
    Answer("rate limit", Verdict.NOT_AVAILABLE, "there are no throttles yet", 0.0),
    Answer("broker flush", Verdict.SKIPPED, "left out on demand", 0.0),
]


@pytest.fixture
def report(db: None) -> DrillReport:
    moment = clock.now()
    return DrillReport.objects.create(
        started_at=moment - timedelta(seconds=62), finished_at=moment, passed=passed(ANSWERS),
        answers=[answer.as_json() for answer in ANSWERS],
    )  # fmt: skip


def test_a_line_says_verdict_question_seconds_and_evidence() -> None:
    assert screen.line(ANSWERS[1]).split(maxsplit=4) == [
        "green", "duplicates", "1.5", "s", "40 messages for 10 jobs: 10 attempts, 10 effects"
    ]  # fmt: skip


def test_a_terminal_gets_a_table_with_every_verdict_in_words() -> None:
    console = Console(width=120, record=True, force_terminal=True)
    console.print(screen.table(ANSWERS))
    text = console.export_text()

    assert [word for word in ("red", "green", "not available", "skipped") if word not in text] == []


def test_the_summary_counts_what_was_not_shown_apart(report: DrillReport) -> None:
    line = screen.summary(report)

    assert line.startswith("drill failed on ")
    assert "1 green, 1 red, 1 not available, 1 skipped" in line


def test_a_member_of_a_tenant_does_not_see_reports(report: DrillReport, make_staff: MakeStaff, tenant: Tenant) -> None:
    client = Client()
    client.force_login(make_staff("member", tenant, "change_workflow", "view_drillreport"))

    assert client.get(reverse("admin:agentapp_drillreport_changelist")).status_code == 403
    assert client.get(reverse("admin:agentapp_drillreport_change", args=(report.pk,))).status_code == 403


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_an_operator_reads_a_report_in_the_admin(
    admin_user: User, page: Page, live_server: LiveServer, report: DrillReport
) -> None:
    let_in(page, live_server.url, admin_user)
    page.get_by_role("link", name="Drill reports").click()
    row = page.locator("#result_list tbody tr")
    expect(row).to_contain_text("failed")
    row.get_by_role("link").click()

    expect(page.get_by_role("heading", name="Drill of")).to_be_visible()
    for answer in ANSWERS:
        line = page.locator(".attempts li", has_text=answer.question)
        expect(line).to_contain_text(answer.verdict.value)
        expect(line).to_contain_text(answer.evidence)
