"""POST and GET /tasks/{id}/messages: what is said to a conversation. [C5]"""

from __future__ import annotations

from typing import Any

import pytest

from agentapp.models import Message
from tests import harness
from tests.api.conftest import Api, problem_of
from tests.offline_model.conftest import model as model
from tests.offline_model.conftest import model_process as model_process
from tests.offline_model.process import OfflineModel
from tests.retrieval.conftest import provider as provider
from tests.tasks.agent_runs import script

pytestmark = pytest.mark.django_db

AGENT = {"kind": "agent", "input": {"instruction": script("Done.")}}


@pytest.fixture
def task(api: Api) -> dict[str, Any]:
    found: dict[str, Any] = api.post("/tasks", AGENT).json()
    return found


def test_a_message_is_accepted_while_the_task_runs_and_after_it(
    api: Api, task: dict[str, Any], provider: OfflineModel
) -> None:
    path = f"/tasks/{task['id']}/messages"
    early = api.post(path, {"text": script("Done.", ask="Soon.")})
    assert (early.status_code, early.json()["task"], early.json()["read_by_turn"]) == (202, task["id"], None)
    harness.drain()

    late = api.post(path, {"text": script("Bye.", ask="Thanks."), "untrusted": True})
    harness.drain()

    assert late.status_code == 202 and late.headers["Location"].endswith(f"/tasks/{late.json()['task']}")
    follow_up = api.get(late.headers["Location"]).json()
    assert (follow_up["continues"], follow_up["result"]["answer"]) == (task["id"], "Bye.")
    assert api.get(f"/tasks/{task['id']}").json()["state"] == "completed"
    shown = api.get(f"/tasks/{follow_up['id']}/messages").json()["results"]
    assert [(one["task"], one["number"], one["untrusted"], one["read_by_turn"]) for one in shown] == [
        (task["id"], 1, False, 1), (follow_up["id"], 1, True, 2),
    ]  # fmt: skip
    assert [one["id"] for one in api.get(path).json()["results"]] == [early.json()["id"]]


def test_a_message_that_is_sent_twice_is_said_once(api: Api, task: dict[str, Any], provider: OfflineModel) -> None:
    path, body = f"/tasks/{task['id']}/messages", {"text": "Soon."}
    first, again = (api.post(path, body, **{"Idempotency-Key": "one"}) for _ in range(2))

    assert first.json() == again.json()
    assert ("Idempotency-Replayed" in first.headers, again.headers["Idempotency-Replayed"]) == (False, "true")
    problem_of(api.post(path, {"text": "Later."}, **{"Idempotency-Key": "one"}), 422)


@pytest.mark.parametrize("body", [{}, {"text": " "}, {"text": "x" * 50_001}, {"text": "a", "role": "system"}])
def test_what_is_no_message_is_a_422(api: Api, task: dict[str, Any], body: dict[str, Any]) -> None:
    problem_of(api.post(f"/tasks/{task['id']}/messages", body), 422)

    assert not Message.objects.exists()


def test_a_task_that_is_no_conversation_takes_none(api: Api) -> None:
    task = api.post("/tasks", {"kind": "probe_fan", "input": {"text": "a", "parts": [1]}}).json()

    problem = problem_of(api.post(f"/tasks/{task['id']}/messages", {"text": "Hello."}), 409)

    assert "takes no messages" in problem["detail"]
