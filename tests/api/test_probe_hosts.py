"""Probes are answered under any name; everything else answers to its own names alone."""

from __future__ import annotations

import pytest
from django.test import Client

FOREIGN = ["healthcheck.railway.app", "10.1.2.3:8000", "[fd00::1]:8000", "pod_name.cluster", "not a host", "a,b", ""]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("host", FOREIGN)
@pytest.mark.parametrize("path", ["/healthz", "/healthz/", "/readyz", "/readyz/"])
def test_a_probe_is_answered_under_any_host(client: Client, path: str, host: str) -> None:
    answer = client.get(path, headers={"Host": host})

    assert (answer.status_code, answer.json()["status"]) == (200, "alive" if "health" in path else "ready")


@pytest.mark.django_db
@pytest.mark.parametrize("host", [host for host in FOREIGN if host])
@pytest.mark.parametrize("path", ["/", "/tasks", "/problems", "/healthz/x", "/admin/login/"])
def test_everything_else_is_refused_under_a_foreign_host(client: Client, path: str, host: str) -> None:
    assert client.get(path, headers={"Host": host}).status_code == 400


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("query", ["x", "verbose=1", "t=1&t=2", "a=%00", "=", "%ff=%fe"])
@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_a_probe_is_answered_whatever_its_query_says(client: Client, path: str, query: str) -> None:
    assert client.get(f"{path}?{query}").status_code == 200
