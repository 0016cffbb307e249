"""Each browser chooses the zone in which the admin shows moments; the API's stay in UTC."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.test import Client
from django.utils import timezone

from agentapp.admin.time_zone import COOKIE
from agentapp.models import Approval, Tenant, Workflow
from agentapp.services import api_keys

PAGE, TENANTS = "/admin/time-zone/", "/admin/agentapp/tenant/"
# In summer and in winter of Berlin.
MOMENTS = {"2026-07-01 12:00": "2026-07-01 14:00:00 CEST", "2026-12-01 23:30": "2026-12-02 00:30:00 CET"}


@pytest.mark.parametrize(("utc", "there"), MOMENTS.items())
def test_moments_are_shown_in_the_zone_that_was_chosen(operator: Client, tenant: Tenant, utc: str, there: str) -> None:
    Tenant.objects.filter(pk=tenant.pk).update(created_at=datetime.fromisoformat(f"{utc}:00Z"))
    assert f">{utc}:00 UTC<" in operator.get(TENANTS).content.decode()

    answer = operator.post(PAGE, {"zone": " Europe/Berlin "}, follow=True)
    assert "Times are shown in Europe/Berlin in this browser." in answer.content.decode()
    assert f">{there}<" in operator.get(TENANTS).content.decode()
    # The next person whom the same thread serves sees what they have chosen themselves.
    assert timezone.get_current_timezone_name() == "UTC"


def test_a_task_shows_it_everywhere(operator: Client, waiting: Approval) -> None:
    operator.cookies[COOKIE] = "Asia/Kolkata"
    for path in ("", f"agentapp/workflow/{waiting.workflow_id}/change/", f"agentapp/approval/{waiting.pk}/change/"):
        page = operator.get(f"/admin/{path}").content.decode()
        assert " UTC" not in page and " IST" in page, path


def test_the_api_answers_in_utc_whatever_the_browser_shows(tenant: Tenant, waiting: Approval) -> None:
    client, token = Client(), api_keys.create(tenant=tenant, name="reader", scopes=["tasks:read"])[1]
    client.cookies[COOKIE] = "Asia/Kolkata"
    task = client.get(f"/tasks/{waiting.workflow_id}", headers={"Authorization": f"Bearer {token}"}).json()

    created = Workflow.objects.get(pk=waiting.workflow_id).created_at
    assert task["created_at"].endswith("Z")
    assert datetime.fromisoformat(task["created_at"]).astimezone(UTC) == created


@pytest.mark.parametrize("zone", ["", "Berlin", "../../etc/passwd", "localtime", "Europe/Berlin\r\nx: y"])
def test_a_zone_that_is_none_is_refused_and_changes_nothing(operator: Client, zone: str) -> None:
    answer = operator.post(PAGE, {"zone": zone})
    assert answer.status_code == 422
    assert "There is no time zone" in answer.content.decode()
    assert COOKIE not in answer.cookies

    operator.cookies[COOKIE] = zone.strip()[:6] or "x"
    assert operator.get(TENANTS).status_code == 200
