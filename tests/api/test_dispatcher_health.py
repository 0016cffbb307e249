"""`/readyz` and the admin say when no dispatcher works, or a duty of it does not."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models.functions import Now
from django.test import Client

from agentapp.api import shapes
from agentapp.dispatch.loop import Dispatcher, Hooks
from agentapp.models import DispatcherLease
from agentapp.services import schedule_runs
from tests.api.conftest import Api

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("broker")]


def lead(*, silent_s: float = -60, **report: Any) -> None:
    """Write the row as a leader would that has renewed it so many seconds ago; by default at a moment to come, so that
    a slow test is no silence."""
    now = Now()
    DispatcherLease.objects.create(
        id=1, holder="here:1", renewed_at=now - timedelta(seconds=silent_s), expires_at=now, report=report
    )


def ready(api: Api) -> dict[str, Any]:
    answer = api.get("/readyz")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def test_without_any_dispatcher_it_says_so(api: Api) -> None:
    found = ready(api)

    assert (found["status"], found["dispatcher"]) == ("ready", "down")
    assert found["detail"] == "No dispatcher has ever worked here."


def test_a_dispatcher_that_was_heard_just_now_is_up(api: Api) -> None:
    dispatcher = Dispatcher(Hooks(shapes.task, schedule_runs.start_due))
    assert dispatcher.leader.renew(dispatcher.report())

    assert ready(api) == {"status": "ready", "postgres": "up", "broker": "up", "dispatcher": "up"}
    dispatcher.leader.resign()


def test_a_dispatcher_that_is_gone_is_down_after_seconds(api: Api) -> None:
    lead(silent_s=42)

    found = ready(api)
    assert found["dispatcher"] == "down"
    # A slow test makes it more.
    said = re.fullmatch(r"No dispatcher has worked for (\d+) s\.", found["detail"])
    assert said and int(said[1]) >= 42


@pytest.mark.parametrize(
    ("duty", "sentence"),
    [
        ({"running_s": 31.0, "limit_s": 10}, "The duty rescue has not come back for 31 s."),
        ({"idle_s": 31.0, "every_s": 0.5}, "The duty rescue has not run for 31 s."),
    ],
)
def test_a_duty_that_hangs_is_named(api: Api, duty: dict[str, Any], sentence: str) -> None:
    lead(duties={"rescue": duty, "admit": {"idle_s": 0.1, "every_s": 0.5, "limit_s": 10}})

    found = ready(api)
    assert (found["dispatcher"], found["detail"]) == ("late", sentence)


def test_the_admin_shows_what_is_wrong_to_who_runs_the_platform(admin_user: User) -> None:
    lead(
        duties={"prune": {"error": "OSError: the store is away"}, "rescue": {"running_s": 99, "limit_s": 10}},
        set_aside={"due jobs": {"count": 2, "item": "an id", "error": "DataError: too large", "tries": 3}},
    )
    client = Client()
    client.force_login(admin_user)

    page = client.get("/admin/").content.decode()

    assert "The duty rescue has not come back for 99 s." in page
    assert "The duty prune failed in its last round: OSError: the store is away" in page
    assert "Of the due jobs, 2 items are set aside and tried again later." in page
