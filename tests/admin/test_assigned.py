"""Claim, release and snooze on the page of an approval."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from agentapp.admin.time_zone import COOKIE
from agentapp.models import Approval, Tenant
from tests.admin.conftest import MakeStaff
from tests.admin.test_decisions import _decide

pytestmark = pytest.mark.django_db


def test_a_colleague_sees_who_looks_after_it_and_may_decide_all_the_same(
    member: Client, reader: Client, waiting: Approval, make_staff: MakeStaff, tenant: Tenant
) -> None:
    colleague = Client()
    colleague.force_login(make_staff("anna", tenant, "change_approval"))

    assert "You look after this" in _decide(colleague, waiting, "claim").content.decode()

    page = _decide(member, waiting, "claim")
    assert page.status_code == 409 and "Somebody else has claimed" in page.content.decode()
    assert "<b>anna</b> looks after this" in page.content.decode() and "Take over" in page.content.decode()
    assert "Take over" not in reader.get(page.request["PATH_INFO"]).content.decode()
    assert _decide(reader, waiting, "claim").status_code == 403
    assert "You look after this" in _decide(member, waiting, "take_over").content.decode()
    assert "Nobody looks after this" in _decide(member, waiting, "release").content.decode()
    _decide(colleague, waiting, "claim")
    assert "Approved" in _decide(member, waiting, "approve").content.decode()
    User.objects.get(username="anna").delete()
    assert member.get(reverse("admin:agentapp_approval_change", args=(waiting.pk,))).status_code == 200


def test_a_snooze_is_as_long_as_the_form_says_and_no_longer(member: Client, waiting: Approval) -> None:
    assert "Snoozed: lists show it again" in _decide(member, waiting, "snooze", hours="24").content.decode()
    assert "Snoozed" not in _decide(member, waiting, "wake").content.decode()
    for hours in ("-1", "1e9", "x"):
        _decide(member, waiting, "snooze", hours=hours)
        asked = Approval.objects.get(pk=waiting.pk)
        assert asked.snoozed_until is not None and (asked.snoozed_until - asked.created_at).days == 0


def test_a_snooze_is_until_a_moment_of_the_zone_that_was_chosen(member: Client, waiting: Approval) -> None:
    Approval.objects.filter(pk=waiting.pk).update(expires_at=datetime.now(UTC) + timedelta(days=800))
    member.cookies[COOKIE] = "Europe/Berlin"
    far = datetime.now(UTC) + timedelta(days=91)
    for until, says in (
        ("2020-01-31T08:00", "Name a moment to come"), (f"{far:%Y-%m-%dT%H:%M}", "Name a moment within 90 days"),
        ("2020-03-29T02:30", "There is no 02:30 on 2020-03-29 in Europe"), ("tomorrow", "Choose a date and a time"),
    ):  # fmt: skip
        answer = _decide(member, waiting, "snooze", until=until, hours="72")
        page = answer.content.decode()
        assert answer.status_code == 422 and f'id="error-until">{says}' in page, until
        assert f'value="{until}"' in page and '<option value="72" selected>' in page
        assert not Approval.objects.filter(pk=waiting.pk, snoozed_until__isnull=False).exists()

    day = datetime.now(UTC).date() + timedelta(days=30)
    page = _decide(member, waiting, "snooze", until=f"{day}T08:15", hours="1").content.decode()
    waiting.refresh_from_db()
    assert waiting.snoozed_until is not None
    assert waiting.snoozed_until - datetime(day.year, day.month, day.day, 8, 15, tzinfo=UTC) in (
        timedelta(hours=-1), timedelta(hours=-2)
    )  # fmt: skip
    assert "Snoozed: lists show it again" in page and f"{day} 08:15:00 CE" in page


def test_it_is_assigned_to_a_colleague_who_may_decide(
    member: Client, waiting: Approval, make_staff: MakeStaff, tenant: Tenant
) -> None:
    make_staff("anna", tenant, "change_approval"), make_staff("looks on", tenant)

    page = _decide(member, waiting, "assign", person="anna").content.decode()
    assert "<b>anna</b> looks after this" in page and "<option>looks on</option>" not in page
    refused = _decide(member, waiting, "assign", person="looks on")
    assert refused.status_code == 422 and "may decide in this tenant" in refused.content.decode()
    assert "<b>anna</b> looks after this" in refused.content.decode()
