"""Every message three times, in any order, between stale ones, forged ones and garbage: effects happen once. [D4]"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pytest_django import DjangoDbBlocker

from agentapp.local import ports
from agentapp.local.servers import start_servers, stop_servers
from agentapp.local.supervisor import Supervisor
from agentapp.local.valkey import EmbeddedValkey
from agentapp.models import Attempt
from tests import homes
from tests.acceptance.chaos.faulty_broker import COPIES, FaultyBroker
from tests.acceptance.chaos.victims import WORKERS
from tests.acceptance.deployment import commands, open_deployment
from tests.acceptance.invariants import violations
from tests.acceptance.load import Load
from tests.acceptance.scale import dice, sized

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(sized(400, 1200))]

RUNS = sized(25, 1_000)
LINES = {"web", "dispatcher", *WORKERS}


@contextmanager
def own_valkey() -> Iterator[str]:
    """A Valkey that no deployment has started; its address."""
    home = homes.make()
    supervisor = Supervisor(logs=home / "logs")
    try:
        valkey = EmbeddedValkey(home, port=ports.free(1)[0], password=secrets.token_hex(16), durable=False)
        start_servers(supervisor, logs=home / "logs", postgres=None, valkey=valkey)
        yield valkey.url
    finally:
        stop_servers(supervisor)
        supervisor.close()
        shutil.rmtree(home, ignore_errors=True)


def test_effects_happen_once_whatever_lies_in_the_broker(django_db_blocker: DjangoDbBlocker) -> None:
    thrown = dice("faulty_broker")
    lines = {name: line for name, line in commands().items() if name in LINES}
    with (
        django_db_blocker.unblock(),
        own_valkey() as url,
        FaultyBroker(url, thrown) as faulty_broker,
        open_deployment(lines, env={"REDIS_URL": faulty_broker.address}, alias="faulty") as deployment,
    ):
        pids = {name: deployment.pid(name) for name in WORKERS}
        with Load(deployment, thrown, runs=RUNS) as load:
            load.ended(deadline_s=90)

        assert faulty_broker.put["copies"] >= COPIES * RUNS * 3
        assert min(faulty_broker.put[sort] for sort in ("stale", "forged", "garbage")) >= RUNS
        assert not violations(deployment, load.tasks(), deaths=frozenset(), since=load.began_at)
        attempts = Attempt.objects.using(deployment.alias).filter(job__workflow__in=load.tasks())
        assert set(attempts.values_list("outcome", flat=True)) == {"completed"}
        assert {name: deployment.pid(name) for name in WORKERS} == pids
