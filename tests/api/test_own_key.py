"""/keys/self: what a key is, when it was used, and a new secret for it while the old one still opens."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries

from agentapp import clock
from agentapp.models import ApiKey, Tenant, Workflow
from agentapp.services import api_keys
from tests import harness
from tests.api.conftest import Api, problem_of

pytestmark = pytest.mark.django_db


def secret_of(api: Api) -> str:
    # The secret itself may hold the sign that stands before it.
    return api.headers["Authorization"].split("_", 2)[2]


def test_a_key_shows_what_it_is_and_never_its_secret(
    api: Api, tenant: Tenant, make_key: Any, clock: clock.Clock
) -> None:
    expires_at = clock.now() + timedelta(days=1)
    key, token = make_key(tenant, "tasks:read", expires_at=expires_at)
    response = Api(token).get("/keys/self")
    assert response.json() == {
        "name": "test", "prefix": key.prefix, "tenant": "sample", "scopes": ["tasks:read"], "sees_payloads": True,
        "created_at": response.json()["created_at"], "expires_at": "2030-01-02T12:00:00.000000Z",
        "last_used_at": "2030-01-01T12:00:00.000000Z", "replaced_by": None,
    }  # fmt: skip
    assert token.split("_", 2)[2] not in response.content.decode()
    problem_of(Api().get("/keys/self"), 401)


def test_the_last_use_is_written_once_a_minute(
    api: Api, clock: clock.Clock, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for seconds, statements in ((0, 2), (30, 1), (29, 1), (1, 2), (59, 1)):
        clock.advance(seconds)
        with django_assert_num_queries(statements):
            api.get("/kinds")
    assert ApiKey.objects.get(prefix=api.headers["Authorization"][10:22]).last_used_at == clock.now() - timedelta(
        seconds=59
    )


def test_submitting_takes_two_statements_and_reading_three(
    api: Api, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    api.get("/kinds")
    with django_assert_max_num_queries(2):
        task = api.post("/tasks", {"kind": "probe_loop", "input": {}}).json()
    with django_assert_max_num_queries(4):
        api.get(f"/tasks/{task['id']}")
    harness.drain()
    with django_assert_max_num_queries(3):
        api.get(f"/tasks/{task['id']}")


def test_a_refused_token_is_no_use_of_a_key(api: Api) -> None:
    token = api.headers["Authorization"]
    problem_of(Api(token.removeprefix("Bearer ")[:-1] + ("A" if token[-1] != "A" else "B")).get("/kinds"), 401)
    assert ApiKey.objects.filter(last_used_at=None).count() == 1


@pytest.mark.django_db(transaction=True)
def test_where_the_use_cannot_be_noted_reading_goes_on(api: Api) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
    try:
        assert api.get("/tasks").status_code == 200
    finally:
        connection.close()
    assert ApiKey.objects.filter(last_used_at=None).count() == 1


def test_a_rotated_key_opens_with_both_secrets_until_the_overlap_is_over(
    api: Api, tenant: Tenant, clock: clock.Clock
) -> None:
    before = api.get("/keys/self").json()
    clock.advance(10)
    response = api.post("/keys/self/rotate", {"overlap_s": 60})
    assert response.status_code == 201 and response.headers["Cache-Control"] == "no-store"
    answer = response.json()
    new = Api(answer["key"])

    assert answer["replaced"] == {"prefix": before["prefix"], "expires_at": "2030-01-01T12:01:10.000000Z"}
    assert (answer["name"], answer["scopes"]) == (before["name"], before["scopes"])
    assert answer["key"].startswith(f"aa_{answer['prefix']}_") and answer["prefix"] != before["prefix"]
    assert new.get("/keys/self").json()["prefix"] == answer["prefix"]
    old = api.get("/keys/self").json()
    assert old == before | {
        "replaced_by": answer["prefix"], "expires_at": answer["replaced"]["expires_at"],
        "last_used_at": old["last_used_at"],
    }  # fmt: skip

    clock.advance(61)
    assert "expired" in problem_of(api.get("/tasks"), 401)["detail"]
    assert new.get("/tasks").status_code == 200
    assert secret_of(new) not in str(list(ApiKey.objects.values()))


def test_tasks_go_on_when_the_secret_that_submitted_them_has_ended(api: Api, clock: clock.Clock) -> None:
    first = api.post("/tasks", {"kind": "probe_loop", "input": {}}).json()["id"]
    api.post("/keys/self/rotate", {"overlap_s": 60})
    second = api.post("/tasks", {"kind": "probe_loop", "input": {}}).json()["id"]
    clock.advance(120)

    harness.drain()

    assert set(Workflow.objects.filter(pk__in=[first, second]).values_list("state", flat=True)) == {"completed"}


def test_a_lost_answer_is_no_lost_key(api: Api) -> None:
    lost = api.post("/keys/self/rotate").json()["key"]
    second = api.post("/keys/self/rotate")
    assert second.status_code == 201
    problem_of(Api(lost).get("/tasks"), 401)
    assert Api(second.json()["key"]).get("/tasks").status_code == 200
    assert ApiKey.objects.filter(name="test", tenant__slug="sample").count() == 2
    # Now that it was used, the old secret makes no third one.
    assert second.json()["prefix"] in problem_of(api.post("/keys/self/rotate"), 409)["detail"]


def test_a_new_secret_lives_no_longer_than_the_key(api: Api, tenant: Tenant, make_key: Any, clock: clock.Clock) -> None:
    _, token = make_key(tenant, "tasks:read", expires_at=clock.now() + timedelta(seconds=100))
    rotated = Api(token).post("/keys/self/rotate", {"overlap_s": 500}).json()
    assert rotated["expires_at"] == rotated["replaced"]["expires_at"] == "2030-01-01T12:01:40.000000Z"


def test_revoking_a_key_takes_its_old_secret_too(api: Api) -> None:
    new = api.post("/keys/self/rotate").json()
    api_keys.revoke(ApiKey.objects.get(prefix=new["prefix"]))
    for speaker in (api, Api(new["key"])):
        assert "revoked" in problem_of(speaker.get("/tasks"), 401)["detail"]


@pytest.mark.parametrize("overlap_s", [-1, 604_801, 1.5, "60", None, True])
def test_an_overlap_that_makes_no_sense_is_refused(api: Api, overlap_s: Any) -> None:
    problem = problem_of(api.post("/keys/self/rotate", {"overlap_s": overlap_s}), 422)
    assert [error["field"] for error in problem["errors"]] == ["overlap_s"]
    assert api.get("/tasks").status_code == 200


def test_no_overlap_ends_the_old_secret_at_once(api: Api) -> None:
    new = api.post("/keys/self/rotate", {"overlap_s": 0}).json()["key"]
    problem_of(api.get("/tasks"), 401)
    assert Api(new).get("/tasks").status_code == 200


def test_a_person_rotates_a_key_and_sees_when_it_was_used(admin_client: Any, api: Api) -> None:
    api.get("/kinds")
    key = ApiKey.objects.get(tenant__slug="sample")
    address = f"/admin/agentapp/apikey/{key.pk}/change/"
    page = admin_client.get(address).content.decode()
    assert "Rotate this key" in page and "never" not in page
    answer = admin_client.post(address, {"do": "rotate", "overlap_s": "60"})
    key.refresh_from_db()
    assert f"aa_{key.prefix}_" in answer.content.decode()
    old = ApiKey.objects.get(replaced_by=key)
    assert key.prefix in admin_client.get(f"/admin/agentapp/apikey/{old.pk}/change/").content.decode()
    assert admin_client.post(address, {"do": "rotate", "overlap_s": "x"}).status_code == 422


def test_the_statement_that_notes_a_use_names_the_key_alone(api: Api) -> None:
    with CaptureQueriesContext(connection) as caught:
        api.get("/kinds")
    (update,) = [query["sql"] for query in caught if query["sql"].startswith("UPDATE")]
    assert "last_used_at" in update and "secret" not in update
