"""POST and GET /tasks/{id}/replies: what customers answered. [C10]"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from agentapp.models import Reply
from agentapp.services import replies
from tests.api.conftest import Api, problem_of

MAIL = {"message_id": "<1@reader.test>", "sender": "reader@example.org", "text": "Thanks."}


@pytest.fixture
def path(db: None, api: Api) -> str:
    task = api.post("/tasks", {"kind": "probe_fan", "input": {"text": "a", "parts": [1]}}).json()
    return f"/tasks/{task['id']}/replies"


def test_a_mail_is_kept_once_and_listed_in_order(api: Api, path: str) -> None:
    first = api.post(path, MAIL | {"subject": " Re:  Invoices\n"})
    again = api.post(path, MAIL | {"text": "Another text under the same id."})
    second = api.post(path, MAIL | {"message_id": "<2@reader.test>"})

    assert (first.status_code, again.status_code, second.status_code) == (201, 200, 201)
    assert again.json() == first.json() and first.json()["subject"] == "Re: Invoices"
    assert first.json()["told_by"].startswith("key:") and first.json()["text"] == "Thanks."
    assert api.get(path).json()["results"] == [first.json(), second.json()]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"text": " "}, "text"),
        ({"text": "x" * 50_001}, "text"),
        ({"sender": ""}, "sender"),
        ({"message_id": "x" * 301}, "message_id"),
        ({"message_id": " "}, "message_id"),
        ({"subject": "a\u0000b"}, "subject"),
        ({"from": "a"}, "from"),
    ],
)
def test_what_is_no_mail_is_refused_by_field(api: Api, path: str, change: dict[str, Any], field: str) -> None:
    problem = problem_of(api.post(path, MAIL | change), 422)

    assert [error["field"] for error in problem["errors"]] == [field]
    assert not Reply.objects.exists()


def test_a_task_takes_so_many_and_no_more(api: Api, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replies, "MOST_OF_A_TASK", 1)
    api.post(path, MAIL)

    problem_of(api.post(path, MAIL | {"message_id": "<2@reader.test>"}), 409)
    assert api.post(path, MAIL).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_one_mail_that_is_told_of_by_many_at_once_is_kept_once(api: Api, path: str) -> None:
    def tell(_: int) -> tuple[int, str]:
        try:
            answer = api.post(path, MAIL)
            return answer.status_code, answer.json()["id"]
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(tell, range(8)))

    assert len({reply for _, reply in told}) == 1 and [status for status, _ in told].count(201) == 1


@pytest.mark.django_db(transaction=True)
def test_of_many_mails_at_once_no_more_are_kept_than_a_task_takes(
    api: Api, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replies, "MOST_OF_A_TASK", 2)

    def tell(number: int) -> int:
        try:
            return int(api.post(path, MAIL | {"message_id": f"<{number}@reader.test>"}).status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(tell, range(8)))

    assert sorted(told) == [201, 201] + [409] * 6 and Reply.objects.count() == 2


def test_a_task_that_is_deleted_while_a_reply_comes_is_unknown(api: Api, path: str) -> None:
    """Before it is locked."""
    deleted: list[str] = []

    def delete_first(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if "FOR NO KEY UPDATE" in sql:
            deleted.append(sql)
            execute("DELETE FROM agentapp_workflow", (), False, context)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(delete_first):
        problem_of(api.post(path, MAIL), 404)
    assert deleted and not Reply.objects.exists()
