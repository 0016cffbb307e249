"""Gates and limits in a browser: by keyboard, wide and narrow, light and dark."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from agentapp import clock
from agentapp.lifecycle import gates as moves
from agentapp.lifecycle.claim import claim
from agentapp.models import Gate, GateChange, Job, Limit, ModelChoice, Tenant
from agentapp.policies.permissions import OPERATOR_SCOPES, WORKER_CLASS_SCOPES
from agentapp.services import model_choices, workflows
from agentapp.services.principals import Principal
from agentapp.states import KeyMode
from tests.admin.conftest import let_in, picture
from tests.browser import press

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

OPERATOR = Principal(frozenset(OPERATOR_SCOPES), None)
MODEL = "acme-provider/large-language-model-2025-01:latest"


@pytest.fixture
def platform_page(page: Page, live_server: LiveServer, tenant: Tenant) -> Iterator[Page]:
    """A browser in which a superuser is logged in, on the first page."""
    let_in(page, live_server.url, User.objects.create(username="operator", is_staff=True, is_superuser=True))
    yield page


@pytest.fixture
def busy(principal: Principal) -> list[Job]:
    """Gates of many kinds, jobs that run and one that waits, a model that is paused and one that failed too often."""
    for values in (
        {"scope": "global", "pattern": "global", "concurrency": 200, "max_waiting": 10_000},
        {"scope": "job_type", "pattern": "sample_lookup", "concurrency": 2, "note": "it needs a gigabyte of memory"},
        {"scope": "model", "pattern": "acme-*", "requests_per_min": 500, "tokens_per_min": 200_000, "concurrency": 8},
        {"scope": "tenant", "pattern": "*", "tier": "free", "concurrency": 2, "max_waiting": 100},
    ):
        moves.keep(Gate(**values), actor="user:operator", reason="first setting")
    run = workflows.submit(principal, kind="sample_reply", input={})
    jobs = list(Job.objects.filter(workflow=run, type="sample_lookup").order_by("part"))
    for job in jobs:
        claim(str(job.pk), worker="worker", queues=tuple(WORKER_CLASS_SCOPES), lease_s=60)
    moves.know([f"model:{MODEL}", "model:acme-small", "tool:mail", *(f"queue:{name}" for name in WORKER_CLASS_SCOPES)])
    reason = "the provider answers nothing but errors since this morning, see their status page"
    moves.set_mode(f"model:{MODEL}", KeyMode.PAUSED, actor="user:operator", reason=reason)
    moves.set_mode("queue:send", KeyMode.DRAINING, actor="user:operator", reason="a new mail server tonight")
    Limit.objects.filter(key="model:acme-small").update(
        breaker="open", closed_until=clock.now() + timedelta(seconds=40), slowdown=1.5625, holds=True
    )
    Limit.objects.filter(key="queue:retrieval").update(slots=4, waiting=17, per_s=3.25, oldest_at=clock.now())
    return jobs


def test_the_pages_can_be_looked_at(
    busy: list[Job], platform_page: Page, live_server: LiveServer, tenant: Tenant
) -> None:
    gate, change = Gate.objects.get(scope="job_type"), GateChange.objects.filter(action="paused").get()
    chosen = {"tenant": tenant.slug, "job_type": "generate_draft", "model": MODEL, "fallback_model": "acme-small",
              "temperature": 0.5, "note": "drafts of this customer are long"}  # fmt: skip
    choice = model_choices.save(OPERATOR, ModelChoice(), chosen)
    pages = {
        "platform-index": "/admin/",
        "gates": "/admin/agentapp/gate/",
        "gate": f"/admin/agentapp/gate/{gate.pk}/change/",
        "gate-add": "/admin/agentapp/gate/add/",
        "limits": "/admin/agentapp/limit/",
        "gate-changes": "/admin/agentapp/gatechange/",
        "gate-change": f"/admin/agentapp/gatechange/{change.pk}/change/",
        "tenant": f"/admin/agentapp/tenant/{tenant.pk}/change/",
        "tenants": "/admin/agentapp/tenant/",
        "tenant-add": "/admin/agentapp/tenant/add/",
        "key-add": "/admin/agentapp/apikey/add/",
        "choices": "/admin/agentapp/modelchoice/",
        "choice": f"/admin/agentapp/modelchoice/{choice.pk}/change/",
        "task-waits": f"/admin/agentapp/workflow/{busy[0].workflow_id}/change/",
    }
    for name, path in pages.items():
        answer = platform_page.goto(live_server.url + path)
        assert answer is not None and answer.ok, name
        picture(platform_page, name)
    for name, key in (("limit-paused", MODEL), ("limit-broken", "acme-small"), ("limit-full", "sample_lookup")):
        platform_page.goto(f"{live_server.url}/admin/agentapp/limit/?q={key}")
        platform_page.locator("#result_list tbody").get_by_role("link").first.click()
        picture(platform_page, name)


def test_a_gate_is_made_corrected_and_deleted_by_keyboard(platform_page: Page) -> None:
    platform_page.get_by_role("link", name="Limits").first.click()
    platform_page.get_by_role("link", name="Gates").click()
    platform_page.get_by_role("link", name="Add gate").click()
    platform_page.get_by_label("Name", exact=True).fill("sample_*")
    platform_page.get_by_label("Jobs at once").fill("two")
    press(platform_page, "Control+Enter")

    expect(platform_page.get_by_label("Jobs at once")).to_have_accessible_description(
        re.compile("must be a whole number")
    )
    expect(platform_page.get_by_label("Jobs at once")).to_be_focused()
    expect(platform_page.get_by_label("Name", exact=True)).to_have_value("sample_*")
    picture(platform_page, "gate-wrong")
    press(platform_page, "Control+a")
    platform_page.keyboard.type("2")
    press(platform_page, "Control+Enter")

    expect(platform_page.get_by_text("holds from the next claim on")).to_be_visible()
    assert Gate.objects.get().concurrency == 2
    platform_page.locator("h1").click()
    press(platform_page, "x")
    expect(platform_page.get_by_label("Why?")).to_be_focused()
    platform_page.keyboard.type("not needed, x p d are letters here")
    press(platform_page, "Control+Enter")
    expect(platform_page.get_by_text("is gone")).to_be_visible()
    assert (Gate.objects.count(), GateChange.objects.latest("id").action) == (0, "deleted")


def test_a_key_is_paused_and_resumed_by_keyboard(busy: list[Job], platform_page: Page) -> None:
    platform_page.get_by_role("link", name="Limits").first.click()
    platform_page.get_by_role("link", name="sample_lookup", exact=False).first.click()
    platform_page.wait_for_url(re.compile("/limit/.*/change/"), wait_until="load")
    press(platform_page, "?")
    expect(platform_page.get_by_role("dialog")).to_contain_text("Drain")
    press(platform_page, "Escape")
    press(platform_page, "p")
    expect(platform_page.get_by_label("No job starts")).to_be_focused()
    platform_page.keyboard.type("a disk is full")
    picture(platform_page, "limit-pausing")
    press(platform_page, "Control+Enter")

    expect(platform_page.get_by_text("Paused: no job starts")).to_be_visible()
    assert Limit.objects.get(key="job_type:sample_lookup").mode_reason == "a disk is full"
    platform_page.get_by_role("link", name="Home").click()
    band = platform_page.get_by_label("What is stopped")
    expect(band).to_contain_text("a disk is full")
    band.get_by_role("link", name="Job type sample_lookup").click()
    platform_page.wait_for_url(re.compile("/limit/.*/change/"), wait_until="load")
    press(platform_page, "r")
    press(platform_page, "Control+Enter")
    expect(platform_page.get_by_text("Resumed: jobs start again")).to_be_visible()
    assert Limit.objects.get(key="job_type:sample_lookup").mode == "open"
