"""Who looks at an approval, and what has become of it meanwhile."""

from __future__ import annotations

import pytest
import redis
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from agentapp.dispatch.optional_redis import OptionalRedis
from agentapp.models import Approval, Tenant
from agentapp.services import presence
from tests.admin.conftest import MakeStaff
from tests.admin.test_decisions import _decide

pytestmark = pytest.mark.django_db


@pytest.mark.usefixtures("broker")
def test_a_page_that_is_open_learns_who_looks_and_who_decided(
    member: Client, stranger: Client, waiting: Approval, make_staff: MakeStaff, tenant: Tenant
) -> None:
    path = reverse("admin:agentapp_approval_watch", args=(waiting.pk,))
    anna = Client()
    anna.force_login(make_staff("anna", tenant, "change_approval"))

    assert member.get(path).json()["looking"] == []
    told = anna.get(path).json()
    assert (told["looking"], told["state"], told["content_sha256"]) == (["member"], "pending", waiting.content_sha256)
    assert member.get(path).json()["looking"] == ["anna"]
    assert stranger.get(path).status_code == 404 and Client().get(path).status_code == 302

    _decide(anna, waiting, "approve")
    told = member.get(path).json()
    assert (told["state"], told["decided_by"]) == ("approved", "anna")


def test_without_the_broker_nobody_is_shown_and_nothing_waits(
    member: Client, waiting: Approval, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.BROKER_URL = "redis://127.0.0.1:9/0"
    monkeypatch.setattr(presence, "_server", OptionalRedis(presence.ANSWER_S))
    path = reverse("admin:agentapp_approval_watch", args=(waiting.pk,))
    assert member.get(path).json()["looking"] == []


def test_who_has_gone_is_forgotten(broker: redis.Redis, waiting: Approval) -> None:
    presence.look(waiting.pk, "anna")
    (key,) = broker.keys("agentapp:looks:*")
    assert 0 < broker.ttl(key) <= presence.LOOKS_S
