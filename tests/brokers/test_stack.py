"""A dispatcher and workers over each kind of broker: all done, nothing twice, whatever is killed or lost. [SPEC D]"""

from __future__ import annotations

import pytest
from pytest_django import DjangoDbBlocker

from tests.acceptance.deployment import commands as lines_of_a_deployment
from tests.acceptance.deployment import open_deployment, until
from tests.acceptance.invariants import violations
from tests.acceptance.load import Load
from tests.acceptance.scale import dice, sized
from tests.brokers import servers

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600)]

RUNS = sized(24, 200)
ALIAS = "on_a_broker"


def commands() -> dict[str, str]:
    """A web, a dispatcher, and one worker for all job types."""
    lines = lines_of_a_deployment()
    queues = "model,retrieval,send,documents,webhooks,tools"
    worker = lines["worker_model"].replace("-c 100", "-c 4").replace("-Q model,retrieval", f"-Q {queues}")
    return {"web": lines["web"], "dispatcher": lines["dispatcher"], "worker_model": worker}


@pytest.mark.parametrize("kind", servers.KINDS)
def test_all_is_done_once_though_a_worker_is_killed_and_the_broker_forgets(
    kind: str, django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> None:
    with servers.running(kind) as server, django_db_blocker.unblock():
        env = {"BROKER_URL": server.url, **server.env}
        with open_deployment(commands(), env=env, alias=ALIAS) as deployment:
            with Load(deployment, dice("brokers"), runs=RUNS) as load:
                until(lambda: load.bodies_run() > load.bodies // 4, "a quarter of the bodies has begun")
                deployment.kill("worker_model")
                until(lambda: load.bodies_run() > load.bodies // 2, "half of the bodies have begun")
                server.stop()
                server.forget()
                server.start()
                load.ended(deadline_s=120)
            assert not violations(deployment, load.tasks(), since=load.began_at)
            assert {str(task) for task in load.tasks()} == set(load.accepted)
