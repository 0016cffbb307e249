"""Who may scrape, what it costs when many do, and what it says while Postgres hangs. [H1] [D10]"""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from pytest_django import Settings

from agentapp.models import Tenant
from agentapp.policies.permissions import API_SCOPES, OPERATOR_SCOPES
from agentapp.services import api_keys, metrics

pytestmark = pytest.mark.django_db(transaction=True)


def get(token: str = "", **headers: str) -> Any:
    bearer = {"Authorization": f"Bearer {token}"} if token else {}
    return Client(raise_request_exception=False).get("/metrics", headers=bearer | headers)


def test_only_the_token_or_a_key_of_an_operator_opens_it(tenant: Tenant, settings: Settings) -> None:
    operator = api_keys.create(tenant=tenant, name="scraper", scopes=["gates:read"])[1]
    others = [scope for scope in (*API_SCOPES, *OPERATOR_SCOPES) if scope != "gates:read"]
    stranger = api_keys.create(tenant=tenant, name="other", scopes=others)[1]
    assert [get().status_code, get("guess").status_code, get(stranger).status_code] == [401, 401, 403]
    settings.AGENTAPP_METRICS_TOKEN = "a-token-for-a-test"
    assert [get().status_code, get("a-token-for").status_code, get("aa_").status_code] == [401, 401, 401]

    # As Prometheus asks, by the address of a pod.
    asked = {"Accept": "text/plain;version=0.0.4;q=0.5", "Host": "10.1.2.3:8000"}
    for token in (operator, "a-token-for-a-test"):
        answer = get(token, **asked)
        assert (answer.status_code, answer.headers["Content-Type"].split(";")[0]) == (200, "text/plain")
        assert b"agentapp_up 1.0\n" in answer.content


def test_who_asks_at_the_same_time_shares_one_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    goes_on, begun, answers = threading.Event(), [], []

    def slow() -> metrics.Found:
        begun.append(1)
        assert goes_on.wait(60)
        return {"agentapp_up": {(): 1.0}}

    monkeypatch.setattr(metrics, "WAIT_S", 60.0)
    monkeypatch.setattr(metrics, "SHARED_S", 60.0)
    shared = metrics.Shared(slow)
    threads = [threading.Thread(target=lambda: answers.append(shared.get())) for _ in range(8)]
    for thread in threads:
        thread.start()
    goes_on.set()
    for thread in threads:
        thread.join()

    assert answers == [{"agentapp_up": {(): 1.0}}] * 8
    assert len(begun) == 1


def test_who_waits_for_a_postgres_that_hangs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    goes_on = threading.Event()
    monkeypatch.setattr(metrics, "WAIT_S", 0.01)

    assert metrics.Shared(lambda: metrics.DOWN if goes_on.wait(60) else {}).get() == metrics.DOWN
    goes_on.set()


def test_a_table_that_is_locked_ends_in_a_scrape_that_says_so(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    monkeypatch.setattr(metrics, "shared", metrics.Shared(metrics.collected))
    monkeypatch.setattr(metrics, "STATEMENT_TIMEOUT_S", 0.1)
    monkeypatch.setattr(metrics, "WAIT_S", 60.0)
    settings.AGENTAPP_METRICS_TOKEN = "a-token-for-a-test"

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("LOCK TABLE agentapp_job IN ACCESS EXCLUSIVE MODE")
        answer = get("a-token-for-a-test")

    assert answer.status_code == 200
    assert b"agentapp_up 0.0\n" in answer.content and b"agentapp_jobs{" not in answer.content
