"""A wide fan-out is cancelled and repaired while its parts run: nobody waits in a circle. [A7] [D8]"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest

from agentapp.models import Job, Workflow
from tests.acceptance.deployment import Deployment, until
from tests.acceptance.invariants import violations
from tests.acceptance.scale import dice, sized

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(sized(400, 1200))]

PARTS, BROKEN = 400, 12
# Asked of Postgres itself: people who asked the web so often would be the load.
LETTERS = "SELECT id, payload FROM agentapp_job WHERE workflow_id = %s AND state = 'dead_lettered'"
DONE = "SELECT 1 FROM agentapp_workflow WHERE id = %s AND jobs_done >= %s"
TASKS = sized(2, 10)
# A part of a task that is to be cancelled: slow enough that most are left when somebody asks for it.
SLOW_S = 0.3


def submit(deployment: Deployment, broken: set[int], *, part_s: float) -> str:
    parts = [{"number": part, "is_broken": part in broken} for part in range(PARTS)]
    return deployment.submit("wide", parts=parts, part_s=part_s)


def test_cancel_and_replay_under_a_running_fan_out_meet_no_deadlock(deployment: Deployment) -> None:
    thrown = dice("fan-out")
    before = deadlocks(deployment)
    repaired = [submit(deployment, set(thrown.sample(range(PARTS), BROKEN)), part_s=0.02) for _ in range(TASKS)]
    cancelled = [submit(deployment, set(), part_s=SLOW_S) for _ in range(TASKS)]

    with ThreadPoolExecutor(2 * TASKS) as people:
        work = [people.submit(repair, deployment, task) for task in repaired]
        work += [people.submit(cancel, deployment, task, after=thrown.randrange(1, PARTS // 4)) for task in cancelled]
        for one in work:
            one.result(timeout=300)

    until(lambda: not running(deployment, cancelled), "no job of a cancelled task runs")
    results = [(Workflow.objects.using(deployment.alias).get(pk=task).result or {})["sum"] for task in repaired]
    assert results == [sum(range(PARTS))] * TASKS
    assert not violations(deployment, [*repaired, *cancelled])
    assert deadlocks(deployment) == before


def repair(deployment: Deployment, task: str) -> None:
    """Replay each broken part with a payload that is well, as soon as it is a dead letter, until all are replayed."""
    replayed: set[UUID] = set()
    with deployment.sql() as session:

        def all_are_replayed() -> bool:
            for job, payload in session.execute(LETTERS, (task,)).fetchall():
                repaired = payload | {"part": payload["part"] | {"is_broken": False}}
                path = f"/dead-letters/{job}/replay"
                answer = deployment.ask("POST", path, {"payload": repaired}, key="approver_api_key")
                assert answer.status_code == 200, answer.text
                replayed.add(job)
            return len(replayed) == BROKEN

        until(all_are_replayed, f"{BROKEN} parts of {task} are repaired")
    deployment.reach(task, "completed")


def cancel(deployment: Deployment, task: str, *, after: int) -> None:
    """Cancel a task when so many of its parts are done."""
    with deployment.sql() as session:
        until(lambda: session.execute(DONE, (task, after)).fetchone(), f"{after} parts are done")
    answer = deployment.ask("POST", f"/tasks/{task}/cancel", {"reason": "nobody needs it"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["state"] == "cancelled"


def running(deployment: Deployment, tasks: list[str]) -> bool:
    return Job.objects.using(deployment.alias).filter(workflow_id__in=tasks, state="running").exists()


def deadlocks(deployment: Deployment) -> tuple[int, int]:
    """What Postgres has counted, and what it has written about them."""
    with deployment.sql() as session:
        query = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        (counted,) = session.execute(query).fetchone() or (0,)
    return int(counted), deployment.log("postgres").count("deadlock detected")
