"""Pictures of the pages, light and dark, wide and narrow: for people to look at; they must not need to scroll aside."""

from __future__ import annotations

from typing import Literal

import pytest
from django.contrib.admin import site
from django.contrib.auth.models import User
from django.test import RequestFactory
from django.urls import reverse
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from agentapp.admin.base import model_page
from agentapp.models import Approval, Job
from agentapp.services import approvals, legal_holds, retention_rules
from agentapp.services.principals import Principal
from tests import harness
from tests.admin.conftest import Start, let_in
from tests.browser import check_accessibility, press, resize, take_picture

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
WIDTHS = {"wide": 1280, "narrow": 390}


def test_the_pages_fit_light_and_dark_wide_and_narrow(
    page: Page,
    live_server: LiveServer,
    start: Start,
    dead: Job,
    principal: Principal,
) -> None:
    sent = Approval.objects.get(workflow=start())
    approvals.decide(principal, sent.pk, decision="approve", content_sha256=sent.content_sha256)
    harness.drain()
    below = Approval.objects.get(workflow=start(score=0.4, body="Do you keep\u200b invoices?"), state="pending")
    approvals.decide(
        principal, below.pk, decision="request_changes", content_sha256=below.content_sha256, reason="Name the page."
    )
    harness.drain()
    again = Approval.objects.get(workflow=below.workflow_id, state="pending")
    pages = {
        "index": "/admin/",
        "tasks": "/admin/agentapp/workflow/",
        "task": f"/admin/agentapp/workflow/{sent.workflow_id}/change/",
        "task-dead": f"/admin/agentapp/workflow/{dead.workflow_id}/change/",
        "approvals": "/admin/agentapp/approval/",
        "approval": f"/admin/agentapp/approval/{again.pk}/change/",
        "dead-letters": "/admin/agentapp/deadletter/",
        "dead-letter": f"/admin/agentapp/deadletter/{dead.pk}/change/",
        "add-key": "/admin/agentapp/apikey/add/",
    }
    let_in(page, live_server.url, User.objects.create(username="operator", is_staff=True, is_superuser=True))
    for name, path in pages.items():
        response = page.goto(live_server.url + path)
        assert response is not None and response.ok, name
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            check_accessibility(page, f"{name}, {scheme}")
            for width_name, width in WIDTHS.items():
                resize(page, width)
                take_picture(page, f"{name}-{scheme}-{width_name}")
                overflow = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
                assert overflow <= 0, f"{name} is {overflow} pixels wider than a {width_name} window"


def test_every_list_and_form_of_ours_can_be_used_by_everybody(
    page: Page, live_server: LiveServer, start: Start, dead: Job, principal: Principal
) -> None:
    start()
    person = User.objects.create(username="operator", is_staff=True, is_superuser=True)
    let_in(page, live_server.url, person)
    request = RequestFactory().get("/admin/")
    request.user = person
    ours = {model: model_admin for model, model_admin in site._registry.items() if model._meta.app_label == "agentapp"}
    for model, model_admin in ours.items():
        for name in ("changelist", *(["add"] if model_admin.has_add_permission(request) else [])):
            response = page.goto(live_server.url + reverse(model_page(model, name)))
            assert response is not None and response.ok, (model, name)
            check_accessibility(page, f"{model.__name__}, {name}")
    task = f"/admin/compare/?before={dead.workflow_id}&after={dead.workflow_id}"
    tenant = dead.tenant
    hold = legal_holds.place(tenant, on=legal_holds.cover(tenant), reason="case 7", by="ada")
    rule = retention_rules.keep(tenant=tenant, kind="", state="failed", days=1, reason="", by="ada")
    kept = [reverse(model_page(type(row), "change"), args=(row.pk,)) for row in (hold, rule, dead.workflow)]
    for path in (
        *kept,
        task,
        "/admin/search/?q=sample",
        "/admin/auth/group/add/",
        f"/admin/auth/user/{person.pk}/change/",
    ):
        response = page.goto(live_server.url + path)
        assert response is not None and response.ok, path
        check_accessibility(page, path)
    press(page, "/")
    expect(page.locator("form[role=search] input")).to_be_focused()


def test_what_cannot_be_read_or_heard_is_found(page: Page) -> None:
    page.set_content("<title>a</title><p style='color: #888; background: #777'>grey</p><img src='data:,'>")
    with pytest.raises(AssertionError, match=r"(?s)color-contrast \(serious\).*grey.*image-alt \(critical\)"):
        check_accessibility(page, "grey")
