"""Each page of the admin and the console on sample data: how many statements it takes does not depend on how much."""

from __future__ import annotations

import re
import time

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from agentapp.models import Approval, Attempt, Job, Workflow
from bench import seed
from tests import harness
from tests.acceptance.scale import LONG, sized, timed

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(sized(300, 1800))]
MOST, LIST = 40, "/admin/agentapp/workflow/"
FEW, MANY = (10, 3, 5), (10_000, 500, 2_000) if LONG else (300, 60, 110)


def pages() -> list[str]:
    """Every list, some of them searched and filtered, and the pages that are made of several."""
    models = [model._meta for model in admin.site._registry]
    lists = [f"/admin/{model.app_label}/{model.model_name}/" for model in models]
    asked = [f"/admin/agentapp/{name}/?q=sample" for name in ("workflow", "approval", "deadletter")]
    return [*lists, *asked, "/admin/", "/console/", "/console/rows/", "/admin/agentapp/approval/?state__exact=pending"]


def statements(client: Client, path: str) -> int:
    with CaptureQueriesContext(connection) as found:
        assert client.get(path).status_code == 200, path
    return len(found)


def took_s(client: Client, path: str) -> float:
    started = time.perf_counter()
    client.get(path)
    return time.perf_counter() - started


def test_ten_rows_take_as_many_statements_as_many(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    seed.fill(seed.Sizes(*FEW, tenants=2))
    harness.index()
    records: list[str] = []
    for path in pages():
        records += sorted(set(re.findall(rf'href="({path}[^"?]+/change/)', operator.get(path).content.decode())))[-1:]
    few = {path: statements(operator, path) for path in [*pages(), *records]}

    seed.fill(seed.Sizes(*MANY, tenants=2))
    harness.index()
    many = {path: statements(operator, path) for path in few}

    # The first page asks since when the oldest approval is overdue, if one is.
    more = {path: (few[path], number) for path, number in many.items() if number > few[path] + (path == "/admin/")}
    assert more == {}
    assert max(many.values()) <= MOST, many
    # What a list asks once for each row would be seen.
    monkeypatch.setattr(admin.site._registry[Workflow], "list_select_related", ())
    assert statements(operator, LIST) > many[LIST] + 40
    monkeypatch.undo()
    if LONG:
        connection.cursor().execute("ANALYZE")
        for path, number in many.items():
            timed(f"{path}, {number} statements", took_s(operator, path), at_most=1.0)


def test_sample_data_is_made_whole_and_says_that_it_is_that() -> None:
    made = seed.fill(seed.Sizes(workflows=30, approvals=6, dead_letters=10, tenants=3))

    assert [tenant.slug for tenant in made] == ["sample-1", "sample-2", "sample-3"]
    assert Workflow.objects.filter(labels__sample="yes").count() == 30
    assert Approval.objects.filter(state="pending").count() == 6
    assert Job.objects.filter(state="dead_lettered").count() == 10
    assert not Job.objects.filter(state__in=("available", "running", "retryable", "scheduled")).exists()
    assert Attempt.objects.filter(outcome="failed").count() == 10 * 5
