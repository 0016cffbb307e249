"""The module for pages, in a browser: it follows a task through a restart of the web process."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from playwright.sync_api import Page

from agentapp.local import ports
from agentapp.models import ApiKey
from agentapp.runtime import preview
from agentapp.services import api_keys, workflows
from agentapp.services.principals import Principal
from tests import harness
from tests.browser import browser as browser
from tests.browser import page as page
from tests.browser import until
from tests.streams.conftest import serve
from tests.streams.test_text import take, write

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser]

FOLLOW = """
async ([url, key, body]) => {
  const { follow } = await import("/static/agentapp/stream.js");
  window.told = []; window.texts = []; window.states = []; window.tokens = 0;
  const token = async () => {
    window.tokens += 1;
    const headers = { Authorization: `Bearer ${key}`, "Content-Type": "application/json" };
    const response = await fetch("/stream-tokens", { method: "POST", headers, body: JSON.stringify(body) });
    return response.ok ? (await response.json()).token : "none";
  };
  window.stream = follow({
    url, token,
    onEvent: (event) => window.told.push(event),
    onText: (text) => window.texts.push(text),
    onState: (state, reason) => window.states.push(reason ? `${state}: ${reason}` : state),
  });
}
"""


def seqs(page: Page) -> list[int]:
    return [event["data"]["seq"] for event in page.evaluate("window.told")]


def test_a_page_follows_a_task_through_a_restart(
    page: Page, token: str, principal: Principal, broker: redis.Redis
) -> None:
    task = workflows.submit(principal, kind="probe_fan", input={})
    port = ports.free(1)[0]
    with serve(port=port) as served:
        page.goto(f"{served.web.url}/")
        page.evaluate(FOLLOW, [f"/tasks/{task.pk}/stream", token, {"task": str(task.pk)}])
        until(page, "window.told.length > 1")
        job = take(task)
        with preview.of(job) as shown:
            write(shown, "one ", "two \N{GRINNING FACE}", " three")
            until(page, "window.texts.at(-1)?.text === 'one two \N{GRINNING FACE} three'")
        served.process.terminate()
        until(page, "window.states.at(-1) === 'offline'")
    workflows.cancel(principal, task.pk, reason="enough")
    with serve(port=port):
        until(page, "window.states.at(-1) === 'ended: done'")

    task.refresh_from_db()
    assert seqs(page) == list(range(1, task.seq + 1))
    assert page.evaluate("window.told.at(-1)")["type"] == "done"
    # A token that is still good is used again.
    assert page.evaluate("window.tokens") == 1


def test_a_page_follows_the_list_and_hears_that_its_key_is_revoked(
    page: Page, make_key: Any, principal: Principal
) -> None:
    key: ApiKey
    key, secret = make_key()
    with serve() as served:
        page.goto(f"{served.web.url}/")
        page.evaluate(FOLLOW, ["/stream?kind=probe_fan", secret, {}])
        until(page, "window.states.at(-1) === 'open'")
        task = harness.run_workflow(principal, "probe_fan")
        until(page, "window.told.at(-1)?.type === 'done'")
        api_keys.revoke(key)
        until(page, "window.states.at(-1) === 'ended: access'")
    assert {event["data"]["task"] for event in page.evaluate("window.told")} == {str(task.pk)}
