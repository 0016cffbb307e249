"""The previous release beside this one, on one database and one broker, in both directions. [D11]"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from pytest_django import DjangoDbBlocker

from agentapp.models import Attempt
from tests.acceptance.deployment import until
from tests.acceptance.invariants import violations
from tests.acceptance.releases import NEW, OLD, PROCESSES, Releases, open_releases, process
from tests.acceptance.rolling import COUNT, COUNT_TO, OVER, Clients, faults
from tests.acceptance.scale import LONG, dice, sized
from tests.agents import record

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(sized(900, 1800))]

# Of each client, between two tasks.
PAUSE_S = 0.1 if LONG else 0.6
REPLY = {"subject": "Workers", "body": "What is a lease?", "customer_email": "customer@example.org"}


@pytest.fixture(scope="module")
def releases(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Releases]:
    with django_db_blocker.unblock(), open_releases() as releases:
        yield releases


@pytest.fixture
def both(releases: Releases) -> Releases:
    """All processes of both releases."""
    releases.migrate()
    releases.start(*(process(what, release) for release in (OLD, NEW) for what in PROCESSES))
    return releases


@pytest.fixture(autouse=True)
def _rows(django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    with django_db_blocker.unblock():
        yield


def submit(releases: Releases, release: str, kind: str, input: dict[str, Any]) -> str:
    """Submit a task through the web of a release, and read it there."""
    key = {"Authorization": f"Bearer {releases.about['api_key']}"}
    answer = releases.of(release).post("/tasks", json={"kind": kind, "input": input}, headers=key)
    assert answer.status_code == 202, answer.text
    task = str(answer.json()["id"])
    read = releases.of(release).get(f"/tasks/{task}", headers=key)
    assert read.status_code == 200, read.text
    return task


def chaos(releases: Releases, release: str, *, tasks: int = 6) -> list[str]:
    inputs = ({"seed": number, "parts": list(range(number % 4))} for number in range(tasks))
    return [submit(releases, release, "chaos", input) for input in inputs]


def ended(releases: Releases, tasks: list[str]) -> None:
    until(lambda: all(releases.task(task)["state"] in OVER for task in tasks), "all tasks are over")
    assert not violations(releases, tasks)
    assert {releases.task(task)["state"] for task in tasks} == {"completed"}


def ran_on(releases: Releases, tasks: list[str]) -> set[str]:
    """The releases whose workers have run these tasks."""
    attempts = Attempt.objects.using(releases.alias).filter(job__workflow__in=map(UUID, tasks))
    return {worker.partition("@")[0] for worker in attempts.values_list("worker", flat=True)}


def replace(releases: Releases, what: str, *, old: str, new: str) -> None:
    """Replace a process as Kubernetes does: the new one is ready, then the old one ends."""
    releases.start(process(what, new))
    releases.stop(process(what, old))


def test_a_rolling_deploy_and_back_loses_nothing_and_refuses_nobody(releases: Releases) -> None:
    thrown = dice("rolling")
    long_jobs: list[str] = []
    with Clients(releases, clients=sized(2, 6), pause_s=PAUSE_S) as clients:
        releases.migrate()
        for old, new in [(OLD, NEW), (NEW, OLD)] * sized(1, 5):
            # At first the web comes last, so that a task of one release runs on a worker of the other.
            order = thrown.sample(PROCESSES, len(PROCESSES)) if len(long_jobs) > 1 else PROCESSES
            for what in order:
                if what == "worker":
                    releases.start(process(what, new))
                    long_jobs.append(clients.long_job_on(old))
                if what == "web" and order == PROCESSES:
                    runs_elsewhere(releases, submitter=old, runner=new)
                replace(releases, what, old=old, new=new)
        clients.ended()

    print({kind: len(tasks) for kind, tasks in clients.accepted.items()})
    assert not faults(releases, clients)
    assert not violations(releases, clients.tasks(), deaths=frozenset(), since=clients.began_at)
    assert min(len(tasks) for tasks in clients.accepted.values()) > 0
    for task in clients.accepted[COUNT]:
        assert clients.numbers(task) == list(range(1, COUNT_TO + 1))
    handed_back = Attempt.objects.using(releases.alias).filter(outcome="handed_back").values_list("job__workflow")
    assert set(map(UUID, long_jobs)) <= {task for (task,) in handed_back}


def runs_elsewhere(releases: Releases, *, submitter: str, runner: str) -> None:
    """Each release reads the loop that the other has planned."""
    looping = submit(releases, submitter, "traced_again", {})
    tasks = [*chaos(releases, submitter), looping]
    ended(releases, tasks)
    assert releases.task(looping)["result"] == {"posted": 2}
    assert ran_on(releases, tasks) == {runner}


def test_both_work_side_by_side(both: Releases) -> None:
    tasks = [*chaos(both, OLD), *chaos(both, NEW)]
    before = set(both.outbox.glob("*.eml"))
    replies = [submit(both, release, "support_reply", REPLY) for release in (OLD, NEW)]

    ended(both, tasks)
    for reply in replies:
        both.reach(reply, "awaiting_approval")
        both.approve(reply)
        both.reach(reply, "completed")
    assert not violations(both, [*tasks, *replies])
    assert len(set(both.outbox.glob("*.eml")) - before) == len(replies)


@pytest.mark.parametrize(("dies", "rescues"), [(OLD, NEW), (NEW, OLD)])
def test_a_job_of_a_killed_worker_goes_on_with_the_other_release(both: Releases, dies: str, rescues: str) -> None:
    gate = f"{dies} dies"
    both.stop(f"worker_{rescues}", f"dispatcher_{dies}")
    try:
        task = submit(both, dies, "noted_threads", {"jobs": [0], "gate": gate})
        both.reach_job(task, "note_and_hold", "running")
        both.kill(f"worker_{dies}")
        both.stop(f"worker_{dies}")
        both.start(f"worker_{rescues}")
        record.let_go(both.broker, gate, count=2)
        ended(both, [task])
    finally:
        both.start(f"worker_{dies}", f"dispatcher_{dies}")

    assert ran_on(both, [task]) == {dies, rescues}
