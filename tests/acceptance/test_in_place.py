"""The same runs through real workers, every step through the broker or in place: the same results, each body once."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator

import pytest
import redis

from agentapp.local.stack import LocalStack
from agentapp.models import Attempt, Effect, Job, Workflow
from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests import homes
from tests.acceptance.deployment import until
from tests.agents import record
from tests.agents import traced as traced  # registers the kind

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.acceptance]

RUNS = 40
WORKER = "exec python -m config.worker -E --without-gossip --without-mingle --loglevel WARNING"
COMMANDS = {
    "dispatcher": "exec python manage.py run_dispatcher",
    "worker_model": f"AGENTAPP_DB_POOL_MAX=10 {WORKER} -P threads -c 16 -Q model,retrieval -n model@%h",
    "worker_send": f"{WORKER} -P prefork -c 2 -Q send -n send@%h",
}


@pytest.fixture(params=["0", "3600"])
def budget_s(request: pytest.FixtureRequest, process_env: dict[str, str], broker: redis.Redis) -> Iterator[float]:
    """The budget of workers that run on the database of this test."""
    home = homes.make()
    env = process_env | {"AGENTAPP_IN_PLACE_BUDGET_S": request.param, "AGENTAPP_EXTENSIONS": "tests.agents"}
    try:
        with LocalStack(home, env=env, commands=COMMANDS, prepare=False):
            yield float(request.param)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def test_each_body_runs_once_and_all_runs_complete(budget_s: float, principal: Principal) -> None:
    parts = [[n + part for part in range(n % 5)] for n in range(RUNS)]
    runs = [workflows.submit(principal, kind="traced", input={"parts": squared}).pk for squared in parts]
    until(lambda: Workflow.objects.filter(state="completed").count() == RUNS, "all runs are completed")

    results = [Workflow.objects.get(pk=run).result or {} for run in runs]
    assert [result["sum"] for result in results] == [sum(n * n for n in squared) for squared in parts]
    jobs = Job.objects.all()
    expected = Counter(f"{job.type} {job.pk}" for job in jobs)
    expected.update(f"sent {effect.pk}" for effect in Effect.objects.all())
    assert Counter(record.bodies()) == expected
    assert set(jobs.values_list("attempt", flat=True)) == {1}
    assert Effect.objects.count() == RUNS
    in_place = Attempt.objects.filter(in_place=True).count()
    assert (in_place > 0) == (budget_s > 0)
