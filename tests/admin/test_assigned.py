"""Claim, release and snooze on the page of an approval."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

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


def test_it_is_assigned_to_a_colleague_who_may_decide(
    member: Client, waiting: Approval, make_staff: MakeStaff, tenant: Tenant
) -> None:
    make_staff("anna", tenant, "change_approval"), make_staff("looks on", tenant)

    page = _decide(member, waiting, "assign", person="anna").content.decode()
    assert "<b>anna</b> looks after this" in page and "<option>looks on</option>" not in page
    refused = _decide(member, waiting, "assign", person="looks on")
    assert refused.status_code == 422 and "may decide in this tenant" in refused.content.decode()
    assert "<b>anna</b> looks after this" in refused.content.decode()
