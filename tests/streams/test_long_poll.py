"""GET /tasks/{id}?wait=20: the answer comes when something has happened, and holds nothing meanwhile. [A4]"""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from agentapp.local import ports
from agentapp.models import ApiKey, Tenant, Workflow
from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests import harness
from tests.admin import kinds as kinds  # registers sample_reply
from tests.api.conftest import Api, problem_of
from tests.api.live import Web

pytestmark = pytest.mark.django_db(transaction=True)
WAIT_S = 50


class Poll:
    """A request that waits, in a thread of its own."""

    def __init__(self, web: Web, path: str, token: str, **headers: str) -> None:
        self.connection = http.client.HTTPConnection(ports.HOST, web.port, timeout=WAIT_S + 20)
        self.connection.request("GET", path, headers={"Authorization": f"Bearer {token}", **headers})
        self.answered = threading.Event()
        self.status, self.tag, self.body = 0, "", b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        answer = self.connection.getresponse()
        self.status, self.tag, self.body = answer.status, answer.headers.get("ETag", ""), answer.read()
        self.answered.set()

    def result(self) -> Any:
        assert self.answered.wait(WAIT_S + 20)
        return json.loads(self.body) if self.body else None


@pytest.fixture
def task(principal: Principal) -> Workflow:
    return workflows.submit(principal, kind="sample_reply", input={})


def test_the_answer_comes_when_a_person_must_act(web: Web, token: str, task: Workflow) -> None:
    poll = Poll(web, f"/tasks/{task.pk}?wait={WAIT_S}", token)
    assert not poll.answered.wait(0.5)

    harness.drain()

    assert (poll.result()["state"], poll.status) == ("awaiting_approval", 200)


def test_a_task_at_rest_is_told_at_once(web: Web, token: str, task: Workflow) -> None:
    harness.drain()

    assert Poll(web, f"/tasks/{task.pk}?wait={WAIT_S}", token).result()["state"] == "awaiting_approval"


def test_with_a_tag_it_waits_for_any_news(web: Web, token: str, task: Workflow, principal: Principal) -> None:
    harness.drain()
    first = Poll(web, f"/tasks/{task.pk}", token)
    first.result()
    poll = Poll(web, f"/tasks/{task.pk}?wait={WAIT_S}", token, **{"If-None-Match": first.tag})
    assert not poll.answered.wait(0.5)

    workflows.cancel(principal, task.pk, reason="enough")

    assert poll.result()["state"] == "cancelled" and poll.tag != first.tag


def test_when_nothing_happens_the_answer_is_what_there_is(web: Web, token: str, task: Workflow) -> None:
    poll = Poll(web, f"/tasks/{task.pk}?wait=1", token)
    assert poll.result()["state"] == "pending"

    again = Poll(web, f"/tasks/{task.pk}?wait=1", token, **{"If-None-Match": poll.tag})
    assert again.result() is None and again.status == 304


def test_what_is_over_changes_no_more(web: Web, token: str, task: Workflow, principal: Principal) -> None:
    workflows.cancel(principal, task.pk, reason="enough")
    first = Poll(web, f"/tasks/{task.pk}?wait={WAIT_S}", token)
    assert first.result()["state"] == "cancelled"

    again = Poll(web, f"/tasks/{task.pk}?wait={WAIT_S}", token, **{"If-None-Match": first.tag})
    assert again.result() is None and again.status == 304


def test_many_wait_with_fewer_threads_and_connections(web: Web, token: str, task: Workflow) -> None:
    """More than the process has threads, and far more than it has connections."""
    polls = [Poll(web, f"/tasks/{task.pk}?wait={WAIT_S}", token) for _ in range(100)]
    assert Poll(web, f"/tasks/{task.pk}", token).result()["state"] == "pending"

    harness.drain()

    assert {poll.result()["state"] for poll in polls} == {"awaiting_approval"}


def test_another_tenants_task_is_not_waited_for(
    web: Web, task: Workflow, other_tenant: Tenant, make_key: Callable[..., tuple[ApiKey, str]]
) -> None:
    poll = Poll(web, f"/tasks/{task.pk}?wait={WAIT_S}", make_key(other_tenant)[1])

    assert poll.result()["status"] == 404


@pytest.mark.parametrize("wait", ["51", "-1", "x", "1.5"])
def test_a_wait_that_is_none_is_refused(token: str, task: Workflow, wait: str) -> None:
    assert "wait" in problem_of(Api(token).get(f"/tasks/{task.pk}", wait=wait), 400)["detail"]
