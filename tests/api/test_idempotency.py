"""A request with a name of its own is done once. [A6]"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from agentapp.lifecycle import database
from agentapp.models import ApiKey, IdempotencyKey, Tenant, Workflow
from agentapp.services import idempotency
from tests import harness
from tests.api.conftest import QUESTION, Api
from tests.lifecycle import crooked_kinds

pytestmark = pytest.mark.django_db(transaction=True)
BODY = {"kind": "support_reply", "input": QUESTION}


@pytest.fixture
def crooked() -> Iterator[None]:
    with crooked_kinds.registered():
        yield


def send(api: Api, key: str, **fields: Any) -> Any:
    return api.post("/tasks", BODY | fields, **{"Idempotency-Key": key})


def test_the_same_request_twice_makes_one_task(api: Api) -> None:
    first, second = send(api, "abc"), send(api, '"abc"')

    assert first.status_code == second.status_code == 202
    assert first.json()["id"] == second.json()["id"] and first["Location"] == second["Location"]
    assert (first.headers.get("Idempotency-Replayed"), second["Idempotency-Replayed"]) == (None, "true")
    assert second.json()["blocked_by"] == first.json()["blocked_by"]
    assert Workflow.objects.count() == 1


def test_an_answer_that_repeats_another_tells_how_the_task_is_now(api: Api) -> None:
    task = send(api, "abc", kind="probe_fan", input={}).json()
    harness.drain()

    again = send(api, "abc", kind="probe_fan", input={}).json()

    assert (task["state"], again["state"], again["id"]) == ("pending", "completed", task["id"])


def test_the_name_of_another_request_is_refused(api: Api) -> None:
    send(api, "abc")

    answer = send(api, "abc", priority="high")

    assert answer.status_code == 422 and answer.json()["type"].endswith("/problems/idempotency-key-reused")
    assert Workflow.objects.count() == 1


def test_what_means_the_same_is_the_same_request(api: Api) -> None:
    send(api, "abc")

    assert send(api, "abc", priority="normal", labels={}).headers["Idempotency-Replayed"] == "true"


def test_names_belong_to_a_tenant(api: Api, other_tenant: Tenant, make_key: Callable[..., tuple[ApiKey, str]]) -> None:
    ids = {send(each, "abc").json()["id"] for each in (api, Api(make_key(other_tenant)[1]))}

    assert len(ids) == 2


@pytest.mark.parametrize("key", ["", '""', "x" * 256, "caf\u00e9"])
def test_a_name_that_is_none_is_refused(api: Api, key: str) -> None:
    assert send(api, key).status_code == 400
    assert not Workflow.objects.exists()


def test_a_request_that_was_refused_leaves_no_name_behind(api: Api) -> None:
    assert send(api, "abc", kind="unheard_of").status_code == 422

    assert send(api, "abc").status_code == 202


def test_a_task_that_cannot_be_opened_leaves_no_name_behind(api: Api, crooked: None) -> None:
    assert send(api, "abc", kind="crooked_first", input={"output": {}}).status_code == 422
    assert not IdempotencyKey.objects.exists()


def test_equal_requests_at_the_same_moment_make_one_task(api: Api) -> None:
    def one(_: int) -> tuple[int, str]:
        try:
            answer = send(Api(**api.headers), "abc")
            return answer.status_code, answer.json()["id"]
        finally:
            connection.close()

    with ThreadPoolExecutor(12) as pool:
        answers = set(pool.map(one, range(36)))

    assert len(answers) == 1 and {status for status, _ in answers} == {202}
    assert Workflow.objects.count() == 1


def test_while_the_first_is_under_way_an_equal_one_is_told_to_wait(
    api: Api, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "EQUAL_REQUEST_S", 0.05)
    first = database.session()
    try:
        with first.transaction():
            first.execute(
                "INSERT INTO agentapp_idempotencykey (tenant_id, key, request_sha256, workflow_id, created_at)"
                " VALUES (%s, 'abc', '', gen_random_uuid(), now())",
                (tenant.pk,),
            )
            waiting = send(api, "abc")
            first.execute("DELETE FROM agentapp_idempotencykey")
    finally:
        first.close()

    assert waiting.status_code == 409 and waiting.json()["type"].endswith("/problems/request-in-progress")
    assert waiting.headers["Retry-After"] == "1"
    # The first one was undone: nothing stands in the way of the next.
    assert send(api, "abc").status_code == 202


def test_a_fork_is_made_once_too(api: Api) -> None:
    origin = api.post("/tasks", {"kind": "probe_fan", "input": {}}).json()["id"]
    harness.drain()

    def fork(stage: str) -> Any:
        return api.post(f"/tasks/{origin}/fork", {"from_stage": stage}, **{"Idempotency-Key": "f"})

    assert fork("probe_sum").json()["id"] == fork("probe_sum").json()["id"]
    assert fork("probe_part").status_code == 422
    assert Workflow.objects.count() == 2


def test_a_key_that_may_only_write_gets_the_same_answer_twice(make_key: Callable[..., Any], tenant: Tenant) -> None:
    writer = Api(make_key(tenant, "tasks:write")[1])

    answers = [send(writer, "abc") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].json()["id"] == answers[1].json()["id"]
