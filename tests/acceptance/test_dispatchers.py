"""Two dispatchers side by side: one leads, and the other takes over."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from agentapp.models import History, Schedule, ScheduleRun, Workflow
from tests.acceptance.deployment import ALIAS, FAILPOINTS, Deployment, until
from tests.acceptance.test_flower import QUESTION

pytestmark = pytest.mark.acceptance

LEADERS = """
SELECT a.application_name FROM agentapp_dispatcherlease l JOIN pg_stat_activity a ON a.pid = l.session
 WHERE l.id = 1 AND l.expires_at > now()
"""
PAIR = {"dispatcher", "dispatcher_b"}


def leaders(deployment: Deployment) -> list[str]:
    with deployment.sql() as session:
        return [name for (name,) in session.execute(LEADERS)]


def test_the_other_dispatcher_takes_over_and_publishes_what_is_due(deployment: Deployment) -> None:
    until(lambda: leaders(deployment), "one of them leads")
    (leader,) = leaders(deployment)
    (other,) = PAIR - {leader}
    task = deployment.submit("fails_for_long")
    job = deployment.reach_job(task, "fail_for_long", "retryable")

    deployment.kill(leader)
    until(lambda: leaders(deployment) == [other], f"{other} leads")
    deployment.make_due(job["id"])

    deployment.reach(task, "completed")
    made_due = History.objects.using(ALIAS).get(job_id=job["id"], from_state="retryable")
    assert (made_due.to_state, made_due.actor) == ("available", "dispatcher")
    assert [attempt["outcome"] for attempt in deployment.job(task, "fail_for_long")["attempts"]] == [
        "failed",
        "completed",
    ]
    assert leaders(deployment) == [other]


def test_a_dispatcher_that_dies_over_a_schedule_leaves_each_time_one_task(deployment: Deployment) -> None:
    body = {
        "name": "hourly", "kind": "support_reply", "input": QUESTION, "every_s": 3600, "catch_up": "all",
        "overlap": "allow",
    }  # fmt: skip
    made = deployment.ask("POST", "/schedules", body).json()
    failpoints = [deployment.home / FAILPOINTS / "schedule.started@support_reply"]
    for path in failpoints:
        path.touch()

    # As if nothing had looked for four hours.
    Schedule.objects.using(ALIAS).filter(pk=made["id"]).update(next_at=Now() - timedelta(hours=4, minutes=1))

    runs = ScheduleRun.objects.using(ALIAS).filter(schedule=made["id"])
    until(lambda: runs.count() == 5, "all five times are started")
    assert not any(path.exists() for path in failpoints)
    assert set(runs.values_list("outcome", flat=True)) == {"started"}
    tasks = Workflow.objects.using(ALIAS).filter(parent=made["id"])
    assert set(tasks.values_list("pk", flat=True)) == set(runs.values_list("pk", flat=True))
    for task in tasks:
        deployment.reach(str(task.pk), "awaiting_approval")
    assert deployment.ask("DELETE", f"/schedules/{made['id']}").status_code == 204
