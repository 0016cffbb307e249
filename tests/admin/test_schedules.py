"""The pages of schedules: made, changed, paused and run by people who may."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from agentapp.models import Schedule, ScheduleRun, Tenant, Workflow
from tests.admin.conftest import MakeStaff

pytestmark = pytest.mark.django_db

LIST, ADD = "admin:agentapp_schedule_changelist", "admin:agentapp_schedule_add"
TYPED = {
    "name": "Morning", "kind": "probe_fan", "input": '{"parts": [1]}', "priority": "high", "cron": "0 8 * * *",
    "every_s": "", "timezone": "Asia/Kolkata", "catch_up": "skip", "overlap": "allow",
}  # fmt: skip


def client_of(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


@pytest.fixture
def writer(make_staff: MakeStaff, tenant: Tenant) -> Client:
    return client_of(make_staff("writer", tenant, "change_workflow", "change_schedule"))


def made(client: Client, tenant: Tenant, **typed: str) -> Schedule:
    answer = client.post(reverse(ADD), TYPED | {"tenant": str(tenant.pk)} | typed)
    schedule = Schedule.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, page(schedule))
    return schedule


def page(schedule: Schedule) -> str:
    return reverse("admin:agentapp_schedule_change", args=(schedule.pk,))


def test_a_person_makes_a_schedule_and_its_tasks_are_theirs(writer: Client, tenant: Tenant) -> None:
    assert "Cron expression" in writer.get(reverse(ADD)).content.decode()
    schedule = made(writer, tenant)

    assert (schedule.user and schedule.user.username, schedule.priority, schedule.cron) == ("writer", 1, "0 8 * * *")
    assert (schedule.timezone, schedule.catch_up, schedule.overlap) == ("Asia/Kolkata", "skip", "allow")
    shown = writer.get(page(schedule)).content.decode()
    assert "Next times" in shown and "Morning" in shown
    assert "Asia/Kolkata" in writer.get(reverse(LIST)).content.decode()


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({"cron": "x"}, "five fields"),
        ({"input": "{"}, "not JSON"),
        ({"input": "[" * 5_000}, "not JSON"),
        ({"input": '{"surplus": 1}'}, "no such field"),
        ({"every_s": "often", "cron": ""}, "whole number"),
        ({"timezone": "Mars"}, "time zone"),
        ({"name": ""}, "1 to 100"),
        ({"tenant": "x"}, "Say for which"),
        ({"tenant": "9" * 5_000}, "Say for which"),
    ],
)
def test_what_was_typed_stays_beside_what_is_wrong_with_it(
    operator: Client, tenant: Tenant, other_tenant: Tenant, typed: dict[str, str], words: str
) -> None:
    answer = operator.post(reverse(ADD), TYPED | {"tenant": str(tenant.pk)} | typed)

    assert answer.status_code == 422
    shown = answer.content.decode()
    assert words in shown and (typed.get("timezone") or "Asia/Kolkata") in shown
    assert not Schedule.objects.exists()


def test_a_schedule_is_run_paused_resumed_changed_and_deleted(writer: Client, tenant: Tenant) -> None:
    schedule = made(writer, tenant)

    named = {"action": "run", "request": writer.get(page(schedule)).context["request_name"]}
    answer = writer.post(page(schedule), named)
    assert writer.post(page(schedule), named)["Location"] == answer["Location"]
    task = Workflow.objects.get()
    assert answer["Location"] == reverse("admin:agentapp_workflow_change", args=(task.pk,))
    assert page(schedule) in writer.get(answer["Location"]).content.decode()
    assert "by hand" in writer.get(page(schedule)).content.decode()

    writer.post(page(schedule), {"action": "pause"})
    assert Schedule.objects.get().next_at is None
    assert writer.post(page(schedule), {"action": "else"}).status_code == 403
    assert Schedule.objects.get().next_at is None
    writer.post(page(schedule), {"action": "resume"})
    assert Schedule.objects.get().next_at is not None
    writer.post(page(schedule), TYPED | {"name": "Evening", "cron": "", "every_s": "600"})
    changed = Schedule.objects.get()
    assert (changed.name, changed.cron, changed.every_s) == ("Evening", "", 600)
    writer.post(page(schedule), {"action": "delete"})
    assert not Schedule.objects.exists() and not ScheduleRun.objects.exists() and Workflow.objects.exists()


def test_who_saves_a_form_that_was_opened_before_anothers_change_undoes_nothing(writer: Client, tenant: Tenant) -> None:
    schedule = made(writer, tenant)

    def opened() -> dict[str, str]:
        found = re.findall(r'name="as_read" value="(.*?)"', writer.get(page(schedule)).content.decode())
        assert len(set(found)) == 1 and len(found) == 2
        # As a browser ends the lines of a text.
        return TYPED | {"input": json.dumps(schedule.input, indent=2).replace("\n", "\r\n"), "as_read": found[0]}

    both = opened()
    assert writer.post(page(schedule), both | {"cron": "0 9 * * *"}).status_code == 302
    late = writer.post(page(schedule), both | {"name": "Mine", "cron": "0 7 * * *"})
    shown = late.content.decode()
    assert late.status_code == 409 and "Somebody has changed this" in shown
    wrong = dict(re.findall(r'<p class="error" id="wrong-(\w+)">(.*?)</p>', shown, re.DOTALL))
    assert wrong == {"name": "Saved meanwhile: Morning.", "cron": "Saved meanwhile: 0 9 * * *."}
    assert 'value="Mine"' in shown and 'value="0 7 * * *"' in shown
    assert both["as_read"] in writer.post(page(schedule), both | {"input": "{"}).content.decode()
    assert writer.post(page(schedule), both | {"action": "delete"}).status_code == 409
    assert Schedule.objects.filter(name="Morning", cron="0 9 * * *").exists()

    assert writer.post(page(schedule), opened() | {"name": "Mine"}).status_code == 302
    assert writer.post(page(schedule), opened() | {"action": "delete"}).status_code == 302


def test_who_may_only_read_changes_nothing_and_others_see_nothing(
    writer: Client, make_staff: MakeStaff, tenant: Tenant, other_tenant: Tenant
) -> None:
    schedule = made(writer, tenant)
    reader, stranger = client_of(make_staff("reader", tenant)), client_of(make_staff("stranger", other_tenant))

    assert "Start a task now" not in reader.get(page(schedule)).content.decode()
    assert reader.get(reverse(ADD)).status_code == 403
    for action in ({"action": "run"}, {"action": "pause"}, {"action": "delete"}, TYPED | {"name": "Mine"}):
        values: Any = action
        assert reader.post(page(schedule), values).status_code == 403
        assert stranger.post(page(schedule), values).status_code == 302
    assert "Morning" not in stranger.get(reverse(LIST)).content.decode()
    schedule.refresh_from_db()
    assert (schedule.name, schedule.is_paused) == ("Morning", False) and not Workflow.objects.exists()
