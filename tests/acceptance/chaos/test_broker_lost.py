"""The broker forgets everything, or dies: tasks are still accepted, and done soon after. [A1] [D1] [D4]"""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
import redis

from agentapp.models import Attempt
from tests.acceptance.chaos.victims import moments
from tests.acceptance.deployment import Deployment, until
from tests.acceptance.invariants import violations
from tests.acceptance.load import Load
from tests.acceptance.scale import dice, patient_s, sized

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(sized(400, 1800))]

RUNS = sized(25, 1_000)
TIMES = 5
ALL_DONE_WITHIN_S = 30
FIRST_JOB_WITHIN = timedelta(seconds=patient_s(5))


def test_all_is_done_soon_after_the_last_of_five_flushes(deployment: Deployment) -> None:
    thrown = dice("flushes")
    with Load(deployment, thrown, runs=RUNS) as load:
        for _ in moments(load, thrown, times=TIMES):
            deployment.broker.flushall()
        load.ended(deadline_s=ALL_DONE_WITHIN_S)

    assert load.answers == {"202": RUNS}
    assert not violations(deployment, load.tasks(), deaths=frozenset(), since=load.began_at)


def test_tasks_are_accepted_while_the_broker_dies_five_times(deployment: Deployment) -> None:
    thrown = dice("broker kills")
    returns: list[datetime] = []
    with Load(deployment, thrown, runs=RUNS, is_probed=True) as load:
        for _ in moments(load, thrown, times=TIMES):
            deployment.kill("valkey")
            until(lambda: answers(deployment.broker), "the broker is back")
            returns.append(now(deployment))
        load.ended(deadline_s=60)

    assert set(load.answers) == {"202"}, load.answers
    assert not violations(deployment, load.tasks(), deaths=frozenset(), since=load.began_at)
    assert {str(task) for task in load.tasks()} == set(load.accepted)
    late = [moment for moment in returns if not first_job_after(deployment, moment)]
    assert not late, f"no job came through the broker within {FIRST_JOB_WITHIN} of its return at {late}"


def answers(broker: redis.Redis) -> bool:
    try:
        return bool(broker.ping())
    except redis.RedisError:
        return False


def now(deployment: Deployment) -> datetime:
    with deployment.sql() as session:
        ((moment,),) = session.execute("SELECT now()").fetchall()
        assert isinstance(moment, datetime)
        return moment


def first_job_after(deployment: Deployment, moment: datetime) -> Attempt | None:
    """A job that a message brought to a worker soon after this moment, not one that a worker went on with."""
    soon = Attempt.objects.using(deployment.alias).filter(started_at__range=(moment, moment + FIRST_JOB_WITHIN))
    return soon.filter(in_place=False).first()
