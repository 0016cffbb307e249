"""Two tenants, a person for each, a superuser, and runs that stand where a person is needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import Permission, User
from django.test import Client
from playwright.sync_api import Page

from agentapp.models import Approval, Job, Membership, Tenant, Workflow
from agentapp.services.principals import Principal
from tests import harness
from tests.admin import kinds as kinds  # registers sample_reply
from tests.browser import ALL, OF_LOOKS, check_accessibility, resize, take_picture
from tests.browser import browser as browser
from tests.browser import page as page
from tests.lifecycle import dead_letter_kinds, letters

MakeStaff = Callable[..., User]


def let_in(page: Page, url: str, person: User) -> None:
    """Give the browser the session of a person; one test logs in by the form."""
    client = Client()
    client.force_login(person)
    cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
    page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": url}])
    page.goto(f"{url}/admin/")


def signs_in(name: str, password: str) -> bool:
    """Whether the form of the admin lets this person in."""
    return Client().post("/admin/login/", {"username": name, "password": password}).status_code == 302


def picture(page: Page, name: str) -> None:
    """Take the page wide and narrow, light and dark; nothing may stick out sideways."""
    # After a click the next page may have no document yet.
    page.wait_for_load_state()
    for theme in ("light", "dark"):
        page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
        check_accessibility(page, f"{name}, {theme}", ALL if theme == "light" else OF_LOOKS)
        for width in (1280, 390):
            resize(page, width)
            take_picture(page, f"{name}-{theme}-{width}")
            assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{name} is wider than {width} px"
    resize(page, 1280)


@pytest.fixture
def make_staff(db: None) -> MakeStaff:
    """make_staff("name", tenant, "change_approval", ...): a member of a tenant with these of Django's permissions."""

    def make(name: str, tenant: Tenant | None, *permissions: str) -> User:
        person = User.objects.create(username=name, is_staff=True)
        person.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        if tenant is not None:
            Membership.objects.create(user=person, tenant=tenant)
        return person

    return make


@pytest.fixture
def operator(db: None) -> Client:
    """A superuser, logged in. Without a password, whose hash would be the slowest part of most tests."""
    client = Client()
    client.force_login(User.objects.create(username="operator", is_staff=True, is_superuser=True))
    return client


@pytest.fixture
def member(make_staff: MakeStaff, tenant: Tenant) -> Client:
    """A person of the first tenant who may decide, replay and cancel, logged in."""
    client = Client()
    client.force_login(make_staff("member", tenant, "change_approval", "change_job", "change_workflow"))
    return client


@pytest.fixture
def reader(make_staff: MakeStaff, tenant: Tenant) -> Client:
    """A person of the first tenant who may only look, logged in."""
    client = Client()
    client.force_login(make_staff("reader", tenant))
    return client


@pytest.fixture
def stranger(make_staff: MakeStaff, other_tenant: Tenant) -> Client:
    """A person of the other tenant with every permission there, logged in."""
    client = Client()
    client.force_login(make_staff("stranger", other_tenant, "change_approval", "change_job", "change_workflow"))
    return client


Start = Callable[..., Workflow]


@pytest.fixture
def start(principal: Principal) -> Start:
    """start(body="...", score=0.5): a sample task, run until it waits for a person or is over."""

    def run(**input: Any) -> Workflow:
        return harness.run_workflow(principal, "sample_reply", input)

    return run


@pytest.fixture
def waiting(start: Start) -> Approval:
    """An approval that waits."""
    return Approval.objects.get(workflow=start(), state="pending")


@pytest.fixture
def dead(start: Start) -> Job:
    """A dead letter whose payload can be fixed."""
    return Job.objects.get(workflow=start(body="This is impossible."), state="dead_lettered")


@pytest.fixture
def in_doubt(principal: Principal) -> Job:
    """A dead letter of which nobody knows whether it has sent its mail."""
    workflow = harness.run_workflow(principal, "letter_line")
    dead_letter_kinds.broken.add("letter_send")
    letters.approve(principal, workflow)
    harness.drain()
    dead_letter_kinds.broken.clear()
    return Job.objects.get(workflow=workflow, state="dead_lettered")
