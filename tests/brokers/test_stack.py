"""A dispatcher and a worker over each kind of broker: it does what it declares, all is done, and nothing twice."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agentapp.dispatch.brokers import choice
from agentapp.dispatch.brokers.base import Sees
from agentapp.local.stack import CHECKOUT
from agentapp.models import ApiKey, Attempt, Workflow
from agentapp.services.principals import Principal
from tests import recorder
from tests.acceptance.invariants import Rows, violations_in
from tests.acceptance.scale import LONG, sized
from tests.acceptance.waiting import until
from tests.brokers import servers
from tests.brokers.asking import KEY, PARTS, PUBLISHED, TASKS
from tests.recorder import Recorder
from tests.runtime.worker_process import running_worker

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(sized(600, 1800)), pytest.mark.django_db(transaction=True)]

Json = dict[str, Any]
# Tasks, parts of each, and how often a worker is killed and the broker forgets.
RUNS, WIDTH, TIMES = sized(6, 60), sized(10, 20), sized(1, 5)
BODIES = RUNS * WIDTH
LEVELS = range(4)
DISPATCHER = [sys.executable, "manage.py", "run_dispatcher"]


@contextmanager
def dispatcher(env: dict[str, str], log: Path) -> Iterator[None]:
    with log.open("wb") as file:
        process = subprocess.Popen(DISPATCHER, env=env, cwd=CHECKOUT, stdout=file, stderr=subprocess.STDOUT)
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


def asked(env: dict[str, str], *command: str) -> str:
    """What a process on the broker prints."""
    argv = [sys.executable, "-m", *command]
    run = subprocess.run(argv, env=env, cwd=CHECKOUT, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout


def does_as_declared(url: str, found: Json) -> None:
    can, ids = choice.of(url).capabilities, found["ids"]
    by_level = [[job for job, level in zip(ids, PUBLISHED, strict=True) if level == wanted] for wanted in LEVELS]
    nobody_knows = [1, [], False]
    assert found["empty"] == [nobody_knows if can.sees is Sees.NOTHING else [0, [], True]] * len(LEVELS)
    assert found["full"] == [
        [len(jobs), sorted(jobs), True] if can.sees is Sees.OLDEST else nobody_knows for jobs in by_level
    ]
    assert sorted(found["taken"]) == sorted(ids)
    if can.keeps_priorities:
        assert found["taken"] == [job for jobs in by_level for job in jobs]
    assert found["purged"] == found["empty"]


@pytest.mark.parametrize("kind", servers.KINDS)
def test_all_is_done_once_though_a_worker_is_killed_and_the_broker_forgets(
    kind: str, principal: Principal, api_key: ApiKey, process_env: dict[str, str], tmp_path: Path
) -> None:
    with servers.running(kind) as server, Recorder(tmp_path / "recorder.jsonl") as outside, ExitStack() as running:
        env = {
            **process_env, "BROKER_URL": server.url, **server.env, "AGENTAPP_EXTENSIONS": "tests.agents",
            "AGENTAPP_LEASE_S": "6", recorder.ADDRESS_VARIABLE: outside.address,
            KEY: api_key.prefix, TASKS: str(RUNS), PARTS: str(WIDTH),
        }  # fmt: skip
        found: Json = json.loads(asked(env, "tests.brokers.asking"))
        does_as_declared(server.url, found)
        *carried, delayed, held = found["tasks"]

        running.enter_context(dispatcher(env, tmp_path / "dispatcher.log"))
        bodies = outside.tail("ran")
        # It notices no death of a worker before its lease ends; the same name would be taken for the same process.
        for time in range(TIMES):
            log = tmp_path / f"worker-{time}.log"
            with running_worker(env, log=log, more=("-Q", "documents")):
                until(lambda part=time + 0.2: bodies.count() > BODIES * part / TIMES, "bodies run")  # type: ignore[misc]
            server.stop()
            server.forget()
            server.start()
        worker = running.enter_context(running_worker(env, log=tmp_path / "worker.log", more=("-Q", "documents")))
        over = Workflow.objects.filter(pk__in=[*carried, delayed], state="completed")
        until(lambda: over.count() == RUNS + 1, "all tasks are completed")

        rows = Rows(SimpleNamespace(alias="default"), carried)  # type: ignore[arg-type]  # of a deployment, its database
        assert not violations_in(rows, outside.lines("effect"))
        assert len({line["key"] for line in outside.lines("effect")}) == BODIES
        # A delay is a row, however long a broker could hold a message back.
        assert Attempt.objects.filter(job__workflow_id=delayed).count() == 2
        if LONG and choice.of(server.url).capabilities.remote_control:
            assert "pong" in asked(env, "celery", "-A", "config", "inspect", "ping")

        # A worker that ends hands back what runs.
        outcomes = Attempt.objects.filter(job__workflow_id=held, outcome="handed_back")
        until(lambda: Workflow.objects.filter(pk=held, jobs__state="running").count() == 2, "two jobs run")
        worker.process.send_signal(signal.SIGTERM)
        worker.process.wait(60)
        assert outcomes.count() == 2
