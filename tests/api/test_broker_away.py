"""The API over a real socket while the broker is away. No other web process counts requests in this database."""

from __future__ import annotations

import pytest

from agentapp.lifecycle import totals
from agentapp.local import ports
from agentapp.models import Job, Tenant
from agentapp.policies.permissions import API_SCOPES
from agentapp.services import api_keys
from tests.api.conftest import QUESTION
from tests.api.live import environment, serving
from tests.observability.exposed import Exposed

pytestmark = pytest.mark.django_db(transaction=True)


def test_tasks_are_accepted_while_the_broker_is_away_and_every_request_is_counted(
    tenant: Tenant, other_tenant: Tenant
) -> None:
    token = api_keys.create(tenant=tenant, name="live", scopes=list(API_SCOPES))[1]
    bearer = {"Authorization": f"Bearer {token}"}
    nowhere = {"REDIS_URL": f"redis://127.0.0.1:{ports.free(1)[0]}/0"}
    with serving(environment() | {"AGENTAPP_DB_POOL_MAX": "4"} | nowhere, "--workers", "2") as web:
        status, _, task = web.ask("POST", "/tasks", {"kind": "support_reply", "input": QUESTION}, **bearer)
        assert (status, task["state"]) == (202, "pending")
        assert Job.objects.filter(workflow_id=task["id"], state="available").count() == 1

        status, _, ready = web.ask("GET", "/readyz")
        assert (status, ready["broker"]) == (200, "down")
        asked = [web.raw("GET", f"/tasks/{task['id']}", bearer)[0] for _ in range(8)]
        # Django is asked twice: now, and when it has waited.
        assert [*asked, web.raw("GET", f"/tasks/{task['id']}?wait=1", bearer)[0]] == [200] * 9
        assert web.raw("GET", "/tasks/1/2/3", bearer)[0] == 404
        assert web.raw("GET", "/tasks", {})[0] == 401

    totals.add_up()
    route = "/tasks/{task_id}"
    assert Exposed().counts("agentapp_http_request_duration_seconds_count", "method", "route", "status") == {
        ("POST", "/tasks", "2xx"): 1, ("GET", route, "2xx"): 9, ("GET", "other", "4xx"): 1, ("GET", "/tasks", "4xx"): 1,
    }  # fmt: skip
