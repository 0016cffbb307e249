"""kill -9 of workers and pool children, at random, under load: nothing is lost, nothing done twice. [D2] [D3] [D7]"""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now
from pytest_django import DjangoDbBlocker

from agentapp.models import Attempt, Job
from tests.acceptance.chaos.victims import WORKERS, kill_one, moments
from tests.acceptance.deployment import LEASE_S, Deployment, commands, open_deployment, until
from tests.acceptance.invariants import violations
from tests.acceptance.load import Load
from tests.acceptance.scale import LONG, dice, sized

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(sized(400, 3600))]

RUNS, KILLS = sized(50, 2_000), sized(10, 200)
ALL_ENDED_WITHIN_S = 60
# Three leases and then some: a rescuer has had the time.
GIVEN_UP_AFTER_S = 3 * LEASE_S + 1


def test_nothing_is_lost_and_nothing_happens_twice(deployment: Deployment) -> None:
    thrown = dice("random kills")
    with Load(deployment, thrown, runs=RUNS) as load:
        killed = [kill_one(deployment, thrown) for _ in moments(load, thrown, times=KILLS)]
        load.ended(deadline_s=ALL_ENDED_WITHIN_S)

    assert len(killed) == KILLS
    assert not violations(deployment, load.tasks(), since=load.began_at)
    assert {str(task) for task in load.tasks()} == set(load.accepted)
    lost = Attempt.objects.using(deployment.alias).filter(job__workflow__in=load.tasks(), outcome="lost")
    assert lost.exists(), "no kill has hit a running job: this run has shown nothing"


@pytest.mark.skipif(not LONG, reason="it starts a stack of its own to test a test: in the long form")
def test_without_the_rescuer_work_is_lost(django_db_blocker: DjangoDbBlocker) -> None:
    """The test of the test: the same kills, seen to lose work where nobody rescues."""
    thrown = dice("random kills without a rescuer")
    lines = {name: line for name, line in commands().items() if name in {"web", "dispatcher", *WORKERS}}
    env = {"AGENTAPP_DUTIES_OFF": "rescue,publish"}
    with django_db_blocker.unblock(), open_deployment(lines, env=env, alias="unrescued") as unrescued:
        with Load(unrescued, thrown, runs=40) as load:
            # What was lost may keep all others from going on, so that there is nothing more to kill.
            for _ in moments(load, thrown, times=6, is_over=lambda: given_up(unrescued)):
                kill_one(unrescued, thrown)
            load.submitted()
            until(lambda: given_up(unrescued), "a job was lost")
        assert load.under_way()
        assert any("has not ended" in sentence for sentence in violations(unrescued, load.tasks()))


def given_up(deployment: Deployment) -> int:
    """How many jobs run nowhere, and have not been renewed for so long that nobody will take them up."""
    long_ago = Now() - timedelta(seconds=GIVEN_UP_AFTER_S)
    return Job.objects.using(deployment.alias).filter(state="running", lease_expires_at__lt=long_ago).count()
