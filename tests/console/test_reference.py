"""The page at /docs: whole without a script, under the content policy, and in a browser by keyboard."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.test import Client
from django.test.utils import override_script_prefix
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from agentapp.api import openapi
from agentapp.console import reference_parts
from agentapp.console.samples import sample
from agentapp.models import Tenant
from agentapp.policies.permissions import API_SCOPES
from agentapp.services import api_keys
from config.middleware import POLICY
from tests.api import contract_samples, documented
from tests.browser import browser as browser
from tests.browser import page as page
from tests.browser import press, resize, take_picture

DOCUMENT = openapi.current()
OPERATIONS = [operation for methods in DOCUMENT["paths"].values() for operation in methods.values()]


def test_every_operation_and_every_type_has_an_anchor() -> None:
    answer = Client().get("/docs")
    text = answer.content.decode()
    assert answer.headers["Content-Security-Policy"] == POLICY
    for operation in OPERATIONS:
        assert f'id="{operation["operationId"]}"' in text
    for name in DOCUMENT["components"]["schemas"]:
        assert f'id="type-{name}"' in text
    assert "<script>" not in text and "style=" not in text and "//cdn" not in text
    assert Client().get("/docs/").content == answer.content


def test_links_and_requests_carry_the_path_below_which_the_service_is_reached() -> None:
    with override_script_prefix("/below/"):
        text = Client().get("/docs").content.decode()
    assert 'data-server="/below"' in text
    assert set(re.findall(r'(?:href|src)="/(\w+)', text)) == {"below"}


def test_the_home_page_leads_there() -> None:
    text = Client().get("/").content.decode()
    assert 'href="/docs' in text and 'href="/schema' in text


def test_a_made_up_value_fits_its_schema() -> None:
    for name, schema in DOCUMENT["components"]["schemas"].items():
        errors = list(
            documented.validator({"$ref": f"#/components/schemas/{name}"}).iter_errors(sample(schema, DOCUMENT))
        )
        assert not errors, (name, errors)


def test_names_and_values_of_an_object_are_described() -> None:
    (submit,) = (each for each in reference_parts.types(DOCUMENT) if each["name"] == "Submit")
    (labels,) = (field for field in submit["fields"] if field["name"] == "labels")

    assert [kind["words"] for kind in labels["kinds"]] == ["object of", "string"]
    assert labels["limits"] == [
        "at most 20 entries", "each name matches `^[A-Za-z0-9_./-]{1,63}$`", "each value at most 100 characters",
    ]  # fmt: skip


def test_streams_files_and_webhooks_have_a_place_on_the_page() -> None:
    made = contract_samples.document()
    (things, files) = reference_parts.groups(made)
    stream = things["operations"][2]
    assert stream["answers"][0]["media_types"] == ["text/event-stream"]
    assert stream["answers"][0]["kinds"] == [{"words": "ThingMoved", "type": "ThingMoved"}]
    assert [answer["status"] for answer in files["operations"][0]["answers"]] == ["200", "206", "304"]
    (webhook,) = reference_parts.webhooks(made)
    assert json.loads(webhook["body"])["type"] == "thing.moved"


@pytest.fixture
def token(transactional_db: None, tenant: Tenant) -> str:
    return api_keys.create(tenant=tenant, name="browser", scopes=list(API_SCOPES))[1]


@pytest.fixture
def opened(page: Page, live_server: LiveServer) -> Page:
    page.goto(f"{live_server.url}/docs", wait_until="load")
    return page


def part(page: Page, operation: str) -> Any:
    return page.locator(f"#{operation}")


@pytest.mark.browser
def test_a_task_is_submitted_and_read_from_the_page_by_keyboard(opened: Page, token: str) -> None:
    opened.get_by_label("API key").fill(token)
    body = {"kind": "probe_fan", "input": {"text": "a"}}
    submit = part(opened, "submit_task")
    submit.get_by_label("Body").fill(json.dumps(body))
    submit.get_by_label("Body").press("Control+Enter")
    expect(submit.locator("[data-status]")).to_have_text("202 Accepted")
    expect(submit.locator("[data-headers]")).to_contain_text("location: /tasks/")
    task = json.loads(submit.locator("[data-answer]").inner_text())

    get = part(opened, "get_task")
    get.get_by_label("task_id").fill(task["id"])
    get.get_by_label("task_id").press("Enter")
    expect(get.locator("[data-answer]")).to_contain_text('"kind": "probe_fan"')
    part(opened, "list_tasks").get_by_label("state").fill("failed")
    part(opened, "list_tasks").get_by_label("label").fill("a:b, c:d")
    part(opened, "list_tasks").get_by_role("button", name="Send GET").click()
    expect(part(opened, "list_tasks").locator("[data-took]")).to_contain_text("?state=failed&label=a%3Ab&label=c%3Ad")
    expect(part(opened, "list_tasks").locator("[data-answer]")).to_contain_text('"results": []')


@pytest.mark.browser
def test_a_key_is_kept_in_the_tab_and_forgotten_with_it(opened: Page, token: str) -> None:
    part(opened, "list_approvals").get_by_role("button", name="Send GET").click()
    expect(opened.get_by_label("API key")).to_be_focused()
    opened.get_by_label("API key").fill(token)
    opened.reload()
    expect(opened.get_by_label("API key")).to_have_value(token)
    assert opened.evaluate("localStorage.length") == 0
    assert opened.context.cookies() == []
    opened.get_by_role("button", name="Forget").click()
    opened.reload()
    expect(opened.get_by_label("API key")).to_have_value("")


@pytest.mark.browser
def test_a_refusal_is_shown_with_its_problem(opened: Page, token: str) -> None:
    opened.get_by_label("API key").fill(token[:-1] + "-")
    part(opened, "list_tasks").get_by_role("button", name="Send GET").click()
    expect(part(opened, "list_tasks").locator("[data-status]")).to_have_text("401 Unauthorized")
    expect(part(opened, "list_tasks").locator("[data-answer]")).to_contain_text("/problems/unauthenticated")


@pytest.mark.browser
def test_operations_are_found_by_words_and_links_reveal_what_is_hidden(opened: Page, token: str) -> None:
    press(opened, "/")
    opened.keyboard.type("{task_id}/cancel tasks:write")
    expect(opened.get_by_role("status").filter(has_text="1 operation")).to_be_visible()
    expect(part(opened, "cancel_task")).to_be_visible()
    expect(part(opened, "list_gates")).to_be_hidden()
    press(opened, "Enter")
    expect(opened).to_have_url(re.compile("#cancel_task$"))
    opened.evaluate("location.hash = 'list_gates'")
    expect(part(opened, "list_gates")).to_be_visible()


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_fits_its_window(opened: Page, token: str, scheme: Any, width: int) -> None:
    opened.emulate_media(color_scheme=scheme)
    resize(opened, width)
    opened.get_by_label("API key").fill(token)
    part(opened, "list_approvals").get_by_role("button", name="Send GET").click()
    expect(part(opened, "list_approvals").locator("[data-status]")).to_have_text("200 OK")
    for name in ("content", "submit_task", "list_approvals", "type-Task"):
        opened.locator(f"#{name}").scroll_into_view_if_needed()
        opened.evaluate(f"document.getElementById('{name}').scrollIntoView()")
        take_picture(opened, f"reference-{scheme}-{width}-{name}", full_page=False)
    assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth")
