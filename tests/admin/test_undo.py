"""Undo after an approval, on the page that opens next."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from agentapp.models import Approval, Effect
from tests import harness
from tests.admin.conftest import Start
from tests.admin.test_decisions import _decide

pytestmark = pytest.mark.django_db


def test_undo_is_offered_on_the_next_item_and_takes_the_approval_back(
    member: Client, reader: Client, start: Start, waiting: Approval, settings: Settings
) -> None:
    settings.AGENTAPP_SEND_HOLD_S = 3_600.0
    other = Approval.objects.get(workflow=start(), state="pending")

    opened = _decide(member, waiting, "approve")

    page = opened.content.decode()
    assert opened.redirect_chain[0][0].startswith(reverse("admin:agentapp_approval_change", args=(other.pk,)))
    own = reverse("admin:agentapp_approval_change", args=(waiting.pk,))
    assert f'<form method="post" action="{own}">' in page and "It is sent in" in page and "Undo" in page
    assert "Undo" not in reader.get(opened.redirect_chain[0][0]).content.decode()
    assert "Undo" in member.get(own).content.decode()

    undone = member.post(own, {"decision": "withdraw"}, follow=True)

    again = Approval.objects.get(workflow_id=waiting.workflow_id, state="pending")
    assert undone.redirect_chain[0][0] == reverse("admin:agentapp_approval_change", args=(again.pk,))
    assert "Withdrawn: nothing was sent." in undone.content.decode() and again.content == waiting.content
    assert member.post(own, {"decision": "withdraw"}).status_code == 302
    assert reader.post(own, {"decision": "withdraw"}).status_code == 403


def test_without_a_hold_a_late_undo_is_told_when_it_was_sent(member: Client, waiting: Approval) -> None:
    assert "Approved: it is being sent." in _decide(member, waiting, "approve").content.decode()
    harness.drain()

    refused = member.post(reverse("admin:agentapp_approval_change", args=(waiting.pk,)), {"decision": "withdraw"})

    assert refused.status_code == 409 and "It was already sent at" in refused.content.decode()
    assert Effect.objects.count() == 1
