"""Each role and each action of the admin, the console and the API: what is allowed stands in role_table. [G6]

An action without a row fails: say in the table which role is the least that may do it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client, RequestFactory, override_settings
from django.urls import NoReverseMatch, URLResolver, get_resolver, reverse
from pytest_django import DjangoDbBlocker, Settings

from agentapp.console import urls as console
from agentapp.policies.permissions import API_SCOPES, OPERATOR_SCOPES, PERSON_SCOPES, ROLES
from agentapp.services import approvals, people, tenants
from tests.admin import every_page
from tests.admin import kinds as kinds  # registers sample_reply
from tests.admin.role_table import (
    CONSOLE,
    FORMS,
    HIDDEN,
    HOLDS_PAYLOADS,
    LEAST_FIRST,
    OF_LISTS,
    PAGES,
    READ_WITHOUT_A_RIGHT,
    SCOPES,
    SHOW_THE_WORD,
    VIEWS,
    A,
    S,
    V,
)
from tests.api import operations
from tests.api.test_operations import OUTSIDE

pytestmark = pytest.mark.django_db


@dataclass(frozen=True)
class World:
    """A person of each role, records of their tenant, and who only looks on here and administrates elsewhere."""

    people: dict[str, Client]
    elsewhere: Client
    ids: dict[str, str]
    known: dict[str, str]


def signed_in(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


@pytest.fixture(scope="module")
def standing(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[World]:
    """The records are made once: what a test does to them is rolled back."""
    with django_db_blocker.unblock(), transaction.atomic(), override_settings(**OUTSIDE):
        tenant = tenants.create(slug="sample", name="Sample Company")
        other = tenants.create(slug="other", name="Other Company")
        ids, known = every_page.records(tenant)
        clients = {role: signed_in(people.add(name=role, tenant=tenant, role=role)[0].user) for role in ROLES}
        clients[S] = signed_in(User.objects.create(username="root", is_staff=True, is_superuser=True))
        mixed = people.add(name="mixed", tenant=tenant, role=V)[0].user
        people.add(name="mixed", tenant=other, role=A)
        yield World(clients, signed_in(mixed), ids, known)
        transaction.set_rollback(True)


@pytest.fixture
def world(standing: World, db: None, settings: Settings) -> World:
    for name, value in OUTSIDE.items():
        setattr(settings, name, value)
    return standing


def models() -> dict[str, Any]:
    found = {model: page for model, page in admin.site._registry.items() if model._meta.app_label == "agentapp"}
    return {str(model._meta.model_name): page for model, page in found.items()}


def allowed(world: World, ask: Any) -> str | None:
    """The least role that is not refused; each above it must not be either, and all of them get the same answer."""
    answers = {role: taken_back(partial(ask, world.people[role])) for role in LEAST_FIRST}
    open_to = [role for role in LEAST_FIRST if answers[role] != 403]
    assert open_to == [*LEAST_FIRST[len(LEAST_FIRST) - len(open_to) :]], answers
    assert not {500, 404, 405} & {*answers.values()}, answers
    assert len({answers[role] for role in open_to}) <= 1, answers
    return open_to[0] if open_to else None


def address(model: str, page: str, *args: str) -> str:
    return reverse(f"admin:agentapp_{model}_{page}", args=args)


def fields(form: str) -> dict[str, str]:
    name, _, value = form.partition("=")
    return {name: value} if name else {}


def forms_of(model: str) -> set[str]:
    """What the templates of a record's page send."""
    template = Path("templates", models()[model].detail_template or "-")
    if not template.is_file():
        return set()
    parts = [template, *(Path("templates") / each for each in included(template))]
    found: set[str] = set()
    for form in re.findall(r"<form method=\"post\".*?</form>", "".join(part.read_text() for part in parts), re.DOTALL):
        named = re.findall(r'name="(action|decision|do)" value="(\w+)"', form)
        has_more = re.search(r"<button type=\"submit\"(?![^>]*name=)", form) and 'type="hidden" name="' not in re.sub(
            r'name="(?:as_read|content_sha256|seen|request)"', "", form
        )
        found |= {f"{name}={value}" for name, value in named} | ({""} if has_more else set())
    # Buttons of a form that stands elsewhere.
    whole = "".join(part.read_text() for part in parts)
    return found | {f"{name}={value}" for name, value in re.findall(r'form="[\w-]+" name="(\w+)" value="(\w+)"', whole)}


def included(template: Path, known: frozenset[str] = frozenset()) -> frozenset[str]:
    for name in re.findall(r'{% include "(agentapp/[\w/]+\.html)"', template.read_text()):
        if name not in known:
            known = included(Path("templates") / name, known | {name})
    return known


def taken_back(ask: Callable[[], Any]) -> Any:
    """The answer to a request, whose changes are taken back."""
    with transaction.atomic():
        answer = ask()
        transaction.set_rollback(True)
    return answer


def test_superusers_alone_switch_on_the_operations_page(world: World) -> None:
    asked = {"scope": "queue", "name": "send", "action": "pause", "reason": "a test"}

    assert allowed(world, lambda client: client.post("/admin/switch/", asked).status_code) == S
    for role in LEAST_FIRST:
        assert ('action="/admin/switch/' in world.people[role].get("/admin/").content.decode()) is (role == S)


def test_each_page_and_form_and_action_has_a_row() -> None:
    assert {*PAGES} == {*models()}
    for model, page in models().items():
        assert forms_of(model) == {*FORMS.get(model, {})}, model
        assert {*(page.actions or ())} == {*OF_LISTS.get(model, {})}, model
    assert {f"decision={each}" for each in approvals.DECISIONS} <= {*FORMS["approval"]}
    assert {pattern.name for pattern in console.urlpatterns} == {*CONSOLE}
    beside = {*views_beside_records(get_resolver().url_patterns)}
    assert {
        name for name in beside if not name.endswith(("_changelist", "_add", "_change", "_delete", "_history", "None"))
    } == {*VIEWS}
    assert {*SCOPES} == {*API_SCOPES, *OPERATOR_SCOPES, *PERSON_SCOPES} - {"payloads:read"}


def test_each_scope_is_held_from_its_least_role_on_and_opens_the_operations_of_the_api() -> None:
    for scope, least in SCOPES.items():
        held = [role for role in LEAST_FIRST if role == S or scope in ROLES[role]]
        assert held == [*LEAST_FIRST[LEAST_FIRST.index(least) :]], scope
    for operation in operations.documented():
        assert {*operation.scopes} <= {*SCOPES}, operation.id


@pytest.mark.parametrize("model", PAGES)
def test_pages(world: World, model: str) -> None:
    sees, makes = PAGES[model]
    assert allowed(world, lambda client: client.get(address(model, "changelist")).status_code) == sees
    if model in world.ids:
        page = address(model, "change", world.ids[model])
        assert allowed(world, lambda client: client.get(page).status_code) == sees
        assert world.people[S].get(page).status_code == 200
    for method in ("get", "post"):
        assert (
            allowed(world, lambda client, ask=method: getattr(client, ask)(address(model, "add")).status_code) == makes
        )


def views_beside_records(patterns: list[Any], at: str = "", namespace: str = "") -> Iterator[str]:
    """The names of our views below /admin/ that are no page of a model."""
    for each in patterns:
        if isinstance(each, URLResolver):
            inner = f"{each.namespace}:" if each.namespace else namespace
            yield from views_beside_records(each.url_patterns, f"{at}{each.pattern}", inner)
        elif f"{at}{each.pattern}".startswith("admin/") and each.callback.__module__.startswith("agentapp."):
            yield f"{namespace}{each.name}"


@pytest.mark.parametrize("name", VIEWS)
def test_views_beside_records(world: World, name: str) -> None:
    least, method = VIEWS[name]
    of = {"admin:agentapp_approval_watch": world.known["approval"]}
    of["admin:auth_user_sessions"] = str(User.objects.get(username=V).pk)
    page = reverse(name, args=(of[name],) if name in of else ())
    task = world.known["task"]
    sent = {"before": task, "after": task, "q": task, "page": "workflow", "query": "q=a", "name": "send"}
    sent |= {"scope": "queue", "action": "pause", "reason": "a test"}

    def ask(client: Client) -> int:
        status = int(getattr(client, method)(page, sent).status_code)
        # To who may not see payloads it is as unknown as one that does not exist.
        return 403 if status == 404 else status

    assert allowed(world, ask) == least
    assert taken_back(partial(ask, world.people[S])) in ({200, 302} if method == "get" else {302})


@pytest.mark.parametrize("model", FORMS)
def test_forms(world: World, model: str) -> None:
    page = address(model, "change", world.ids[model])
    for form, least in FORMS[model].items():
        sent = fields(form) | {"reason": "a test"}
        # Who only looks on here may nothing more, whatever they may elsewhere.
        answer = taken_back(partial(world.elsewhere.post, page, sent))
        is_hidden = answer.status_code == 302 and model in HIDDEN
        assert answer.status_code == 403 or is_hidden, (form, answer.status_code)
        assert allowed(world, lambda client, sent=sent: client.post(page, sent).status_code) == least, form


@pytest.mark.parametrize("model", OF_LISTS)
def test_actions_of_lists(world: World, model: str) -> None:
    page = models()[model]
    for action, least in OF_LISTS[model].items():
        offered = []
        for role in LEAST_FIRST:
            request = RequestFactory().get("/")
            request.user = User.objects.get(username="root" if role == S else role)
            if page.has_view_permission(request) and action in page.get_actions(request):
                offered.append(role)
        assert offered == [*LEAST_FIRST[LEAST_FIRST.index(least) :]], action


@pytest.mark.parametrize("model", PAGES)
def test_payloads_are_masked_for_who_may_not_see_them(world: World, model: str) -> None:
    """Each record holds a word."""
    pages = [address(model, "changelist"), f"{address(model, 'changelist')}?q={operations.SECRET}"]
    pages += [address(model, "change", world.ids[model])] if model in world.ids else []
    pages += [reverse("console_task", args=(world.known["task"],)), reverse("console")] if model == "workflow" else []
    shown = {role: "".join(world.people[role].get(page).content.decode() for page in pages) for role in (V, A)}
    without_the_question = shown[V].replace(f'value="{operations.SECRET}"', "").replace(f"q={operations.SECRET}", "")

    assert (operations.SECRET in without_the_question) == (model in SHOW_THE_WORD)
    if model in HOLDS_PAYLOADS:
        assert "masked" in shown[V] and "masked" not in shown[A]


@pytest.mark.parametrize("name", CONSOLE)
def test_console(world: World, name: str) -> None:
    args = {"task_id": world.known["task"], "job_id": world.known["letter"], "approval_id": world.known["approval"]}
    page = ""
    for given in ((), ("task_id",), ("task_id", "job_id"), ("task_id", "approval_id"), ("kind",)):
        try:
            page = reverse(name, kwargs={each: (args | {"kind": "support_reply"})[each] for each in given})
        except NoReverseMatch:
            continue
    is_read = name in READ_WITHOUT_A_RIGHT
    sent = {} if is_read else {"reason": "a test", "decision": "reject", "text": "hello", "from_stage": "sample_draft"}

    def ask(client: Client) -> int:
        return (client.get(page) if is_read else client.post(page, sent)).status_code

    assert allowed(world, ask) == CONSOLE[name]
    if CONSOLE[name] != V and name != "console_new":
        assert ask(world.elsewhere) == 403
