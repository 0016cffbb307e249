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
from tests.acceptance.releases import NEW, OLD, Releases, open_releases
from tests.agents import record

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(900)]

OVER = {"completed", "failed", "cancelled", "needs_attention"}
REPLY = {"subject": "Workers", "body": "What is a lease?", "customer_email": "customer@example.org"}


@pytest.fixture(scope="module")
def releases(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Releases]:
    with django_db_blocker.unblock(), open_releases() as releases:
        yield releases


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


def test_both_work_side_by_side(releases: Releases) -> None:
    tasks = [*chaos(releases, OLD), *chaos(releases, NEW)]
    replies = [submit(releases, release, "support_reply", REPLY) for release in (OLD, NEW)]

    ended(releases, tasks)
    for reply in replies:
        releases.reach(reply, "awaiting_approval")
        releases.approve(reply)
        releases.reach(reply, "completed")
    assert not violations(releases, [*tasks, *replies])
    assert len(list(releases.outbox.glob("*.eml"))) == len(replies)


@pytest.mark.parametrize(("submitter", "runner"), [(OLD, NEW), (NEW, OLD)])
def test_tasks_of_one_run_on_workers_of_the_other(releases: Releases, submitter: str, runner: str) -> None:
    releases.stop(f"worker_{submitter}", f"dispatcher_{submitter}")
    try:
        looping = submit(releases, submitter, "traced_again", {})
        tasks = [*chaos(releases, submitter), looping]
        ended(releases, tasks)
        # Each reads the loop that the other has planned.
        assert releases.task(looping)["result"] == {"posted": 2}
    finally:
        releases.start(f"worker_{submitter}", f"dispatcher_{submitter}")

    assert ran_on(releases, tasks) == {runner}


@pytest.mark.parametrize(("dies", "rescues"), [(OLD, NEW), (NEW, OLD)])
def test_a_job_of_a_killed_worker_goes_on_with_the_other_release(releases: Releases, dies: str, rescues: str) -> None:
    gate = f"{dies} dies"
    releases.stop(f"worker_{rescues}", f"dispatcher_{dies}")
    try:
        task = submit(releases, dies, "noted_threads", {"jobs": [0], "gate": gate})
        releases.reach_job(task, "note_and_hold", "running")
        releases.kill(f"worker_{dies}")
        releases.stop(f"worker_{dies}")
        releases.start(f"worker_{rescues}")
        record.let_go(releases.broker, gate, count=2)
        ended(releases, [task])
    finally:
        releases.start(f"worker_{dies}", f"dispatcher_{dies}")

    assert ran_on(releases, [task]) == {dies, rescues}
