"""Markup, scripts and strange letters in whatever clients, customers, models and people fill: no page runs them, and
each keeps its layout."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from django.db.models import Model
from playwright.sync_api import Page
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from agentapp import clock
from agentapp.models import DrillReport, Tenant
from agentapp.policies import payload_fields
from bench import seed
from tests.acceptance.scale import LONG, sized
from tests.admin import every_page, hostile
from tests.admin.conftest import let_in
from tests.api.test_operations import OUTSIDE


def test_each_text_column_is_filled_by_others_or_is_ours() -> None:
    own = apps.get_app_config("agentapp").get_models()
    tables: list[type[Model]] = [*own, *admin.site._registry, Group, User, LogEntry]
    for model in {table for table in tables if not table._meta.proxy}:
        fillable, ours = (table.get(model, "").split() for table in (hostile.FILLABLE, hostile.OURS))
        found = {field.name for field in hostile.texts(model)}
        assert {*fillable} | {*ours} == found and not {*fillable} & {*ours}, f"tests/admin/hostile.py: {model.__name__}"
        assert not payload_fields.NAMES & {*ours}, model.__name__


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(sized(600, 3600))
@pytest.mark.skipif(not LONG, reason="minutes of CPU")
@pytest.mark.parametrize("turn", range(len(hostile.CORPUS)))
def test_no_page_runs_a_text_or_grows_by_it(
    page: Page, live_server: LiveServer, tenant: Tenant, settings: Settings, turn: int
) -> None:
    for name, value in OUTSIDE.items():
        setattr(settings, name, value)
    ids, known = every_page.records(tenant)
    seed.fill(seed.Sizes(workflows=12, approvals=3, dead_letters=6, tenants=1))
    Group.objects.create(name="sample")
    DrillReport.objects.create(started_at=clock.now(), finished_at=clock.now(), passed=False, answers=[])
    person = User.objects.create(username="operator", is_staff=True, is_superuser=True)
    let_in(page, live_server.url, person)
    hostile.write(turn)
    watch, found = hostile.Watch(page, live_server.url), []
    for address in every_page.addresses(person, ids, known):
        response = page.goto(live_server.url + address, wait_until="load")
        assert response is not None and response.ok, address
        found += [f"{address}: {each}" for each in watch.faults()]
    assert not found, "\n".join(found)
