"""Each page of the admin and the console on sample data: how many statements it takes does not depend on how much."""

from __future__ import annotations

import re

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from agentapp.models import Approval, Attempt, Job, Workflow
from bench import seed
from tests import harness

pytestmark = pytest.mark.django_db
MOST = 40


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


def test_ten_rows_take_as_many_statements_as_three_hundred(operator: Client) -> None:
    seed.fill(seed.Sizes(workflows=10, approvals=3, dead_letters=5, tenants=2))
    harness.index()
    records: list[str] = []
    for path in pages():
        records += sorted(set(re.findall(rf'href="({path}[^"?]+/change/)', operator.get(path).content.decode())))[-1:]
    few = {path: statements(operator, path) for path in [*pages(), *records]}

    seed.fill(seed.Sizes(workflows=300, approvals=60, dead_letters=110, tenants=2))
    harness.index()
    many = {path: statements(operator, path) for path in few}

    # The first page asks since when the oldest approval is overdue, if one is.
    more = {path: (few[path], number) for path, number in many.items() if number > few[path] + (path == "/admin/")}
    assert more == {}
    assert max(many.values()) <= MOST, many


def test_sample_data_is_made_whole_and_says_that_it_is_that() -> None:
    made = seed.fill(seed.Sizes(workflows=30, approvals=6, dead_letters=10, tenants=3))

    assert [tenant.slug for tenant in made] == ["sample-1", "sample-2", "sample-3"]
    assert Workflow.objects.filter(labels__sample="yes").count() == 30
    assert Approval.objects.filter(state="pending").count() == 6
    assert Job.objects.filter(state="dead_lettered").count() == 10
    assert not Job.objects.filter(state__in=("available", "running", "retryable", "scheduled")).exists()
    assert Attempt.objects.filter(outcome="failed").count() == 10 * 5
