"""Jobs that their worker does not survive end as dead letters, and the others hardly notice. [D3] [D9] [INV1]"""

from __future__ import annotations

import statistics
import time
from concurrent import futures
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest

from tests.acceptance.deployment import Deployment, until
from tests.acceptance.invariants import violations
from tests.acceptance.scale import dice, sized, timed
from tests.agents.poison import RETRY

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(sized(400, 900))]

# What ends each of them: the outcome of its attempts, and the error that its dead letter shows.
ENDS = {
    "kill_a_child": ("lost", "WorkerLost"),
    "kill_a_worker": ("lost", "WorkerLost"),
    "eat_memory": ("failed", "MemoryError"),
    "hang_in_a_thread": ("failed", "TimedOut"),
    "hang_in_a_child": ("failed", "TimedOut"),
}
ONE_AFTER_THE_OTHER = (("kill_a_worker", "hang_in_a_thread"), ("kill_a_child", "eat_memory", "hang_in_a_child"))
QUIET_RUNS = sized(4, 60)
# Between two runs beside them: each costs as much of a small machine as it shows.
PAUSE_S = sized(1, 0)
ROUNDS = sized(1, 3)
# Processes that start again take a share of a small machine; a worker that is starved would cost much more.
SLACK_S = 0.5


def test_poison_ends_as_a_dead_letter_and_starves_nobody(deployment: Deployment) -> None:
    thrown = dice("poison")
    with (
        deployment.one_more("second", like="worker_send"),
        deployment.one_more("third", like="worker_documents"),
        ThreadPoolExecutor(len(ONE_AFTER_THE_OTHER)) as clients,
    ):
        quiet = [duration_s(deployment, thrown.randrange(1_000)) for _ in range(QUIET_RUNS)]
        dying = [clients.submit(poisoned, deployment, kinds * ROUNDS) for kinds in ONE_AFTER_THE_OTHER]
        beside: list[float] = []
        while len(beside) < QUIET_RUNS or not all(future.done() for future in dying):
            beside.append(duration_s(deployment, thrown.randrange(1_000)))
            futures.wait(dying, timeout=PAUSE_S)
        tasks = {task: kind for future in dying for task, kind in future.result().items()}
        for task, kind in tasks.items():
            check_letter(deployment.job(task, kind))

    errors = frozenset(error for _, error in ENDS.values())
    assert not violations(deployment, tasks, deaths=errors)
    # Every run beside them has ended; by how much later is asked of a machine that has nothing else to do.
    bound_s = 2 * statistics.median(quiet) + SLACK_S
    timed("a run beside poison, median in seconds", statistics.median(beside), at_most=bound_s)


def poisoned(deployment: Deployment, kinds: tuple[str, ...]) -> dict[str, str]:
    """Submit these one after the other, so that none dies of another's poison; return the tasks with their kinds."""
    tasks = {}
    for kind in kinds:
        task = deployment.submit(kind)
        tasks[task] = kind
        deployment.reach(task, "needs_attention")
    return tasks


def check_letter(letter: dict[str, Any]) -> None:
    outcome, error = ENDS[letter["type"]]
    assert letter["state"] == "dead_lettered"
    assert letter["error"]["class"] == error, letter
    assert [attempt["outcome"] for attempt in letter["attempts"]] == [outcome] * RETRY.max_attempts, letter
    processes = [int(attempt["worker"].rpartition(":")[2]) for attempt in letter["attempts"]]
    if error != "MemoryError":
        # Each attempt has cost its process; others have come in their place.
        assert len(set(processes)) == RETRY.max_attempts
        until(lambda: not any(psutil.pid_exists(pid) for pid in processes), "its processes are gone")


def duration_s(deployment: Deployment, seed: int) -> float:
    """How long a run beside them takes from its submission to its end."""
    began = time.monotonic()
    task = deployment.submit("chaos", seed=seed, parts=[0, 1])
    until(lambda: deployment.task(task)["state"] == "completed", f"{task} is completed")
    return time.monotonic() - began
