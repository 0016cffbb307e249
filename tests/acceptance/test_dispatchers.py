"""Two dispatchers side by side: one leads, and the other takes over."""

from __future__ import annotations

import pytest

from agentapp.models import History
from tests.acceptance.deployment import ALIAS, Deployment, until

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
    task = deployment.submit("fails_once")
    job = deployment.reach_job(task, "fail_once", "retryable")

    deployment.kill(leader)
    until(lambda: leaders(deployment) == [other], f"{other} leads")

    deployment.reach(task, "completed")
    made_due = History.objects.using(ALIAS).get(job_id=job["id"], from_state="retryable")
    assert (made_due.to_state, made_due.actor) == ("available", "dispatcher")
    assert [attempt["outcome"] for attempt in deployment.job(task, "fail_once")["attempts"]] == ["failed", "completed"]
    assert leaders(deployment) == [other]
