"""The simulated queues of worker classes, in their shortest form: `python -m bench.capacity`. [H7]"""

from __future__ import annotations

import math
import statistics

import pytest

from bench import capacity, queues
from bench.queues import Task

MANY = dict.fromkeys(queues.CLASSES, 100)


def task(at_s: float, *, retrieve: tuple[float, ...] = (1.0,), draft: float = 2.0, send: float = 1.0) -> Task:
    return Task(at_s, {"retrieval": retrieve, "model": (draft,), "send": (send,)})


def test_a_task_alone_takes_its_longest_retrieval_its_draft_its_send_and_a_hop_before_each() -> None:
    found = queues.simulated([task(5.0, retrieve=(1.0, 3.0, 2.0))], MANY, hop_s=0.5)

    assert found.answers_s == [3.0 + 2.0 + 1.0 + 3 * 0.5]
    assert found.of_class == {"retrieval": [0.5] * 3, "model": [0.5], "send": [0.5]}


def test_jobs_wait_in_one_line_for_the_slots_of_their_class() -> None:
    found = queues.simulated([task(0.0), task(0.0), task(0.0)], MANY | {"model": 1})

    # All retrievals end at 1; each draft waits for those before it.
    assert found.of_class["model"] == [0.0, 2.0, 4.0]
    assert found.answers_s == [4.0, 6.0, 8.0]


def test_parts_of_one_task_share_the_slots_and_the_draft_waits_for_the_last() -> None:
    found = queues.simulated([task(0.0, retrieve=(1.0, 1.0, 1.0))], MANY | {"retrieval": 2})

    assert found.of_class["retrieval"] == [0.0, 0.0, 1.0]
    assert found.answers_s == [2.0 + 2.0 + 1.0]


def erlang_c(load: float, slots: int) -> float:
    """The share of jobs that wait at all. [A. K. Erlang, 1917]"""
    waiting = load**slots / math.factorial(slots) * slots / (slots - load)
    return waiting / (sum(load**n / math.factorial(n) for n in range(slots)) + waiting)


def test_the_mean_wait_is_that_of_the_formula() -> None:
    # Drafts come as tasks do, where nothing is waited for before them and retrievals take no time.
    drawn = queues.drawn(tasks=60_000, per_s=6.0, seed=1)
    tasks = [Task(one.at_s, {**one.takes_s, "retrieval": (0.0,)}) for one in drawn]
    load, slots = 6.0 * queues.MEAN_S["model"], 6

    found = queues.simulated(tasks, MANY | {"model": slots})

    expected = erlang_c(load, slots) * queues.MEAN_S["model"] / (slots - load)
    assert statistics.mean(found.of_class["model"]) == pytest.approx(expected, rel=0.1)


def test_a_plan_is_printed_and_a_measured_figure_that_is_off_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    simulated = {"model: mean wait": 0.2, "task: mean": 2.0}

    assert capacity.report(simulated, None, 0.005) == 0
    assert capacity.report(simulated, {"model: mean wait": 0.4, "task: mean": 2.2}, 0.005) == 0
    assert capacity.report(simulated, {"model: mean wait": 0.2, "task: mean": 2.4}, 0.005) == 1

    assert "A figure of whole tasks is off by more than 15%." in capsys.readouterr().out
    assert queues.utilization(6.0, {"retrieval": 5, "model": 6, "send": 2}) == pytest.approx(
        {"retrieval": 0.72, "model": 0.8, "send": 0.6}
    )
