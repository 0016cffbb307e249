"""The simulation of admission, in its shortest form: `python -m bench.fairness`. [E1] [E4] [E5]"""

from __future__ import annotations

from typing import Any

import pytest

from agentapp.policies import priority
from bench import fairness

# So little room for so much that every class is stopped.
SHORT = ["--tasks", "2000", "--tenants", "10", "--slots", "4", "--ageing", "1"]
BOUND_S = priority.longest_stop_s(ageing_s=1)


@pytest.fixture(scope="module")
def simulated() -> fairness.Simulation:
    coming = fairness.drawn(tasks=2000, tenants=10, slots=4, seed=1)
    return fairness.Simulation(coming, tenants=10, slots=4, gate=1, ageing_s=1).run()


def test_a_short_run_keeps_every_limit_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert fairness.main(SHORT) == 0

    printed = capsys.readouterr().out
    assert "the published bound is 3.0 s" in printed
    assert "behind the model's gate ran 1 at most; limit 1" in printed
    assert "BROKEN" not in printed


def test_every_job_is_run_once(simulated: fairness.Simulation) -> None:
    assert len(simulated.waits_s()) == len(simulated.coming)
    assert simulated.waits_s()[0] >= 0


def test_the_low_class_was_really_stopped(simulated: fairness.Simulation) -> None:
    """Else the bound would prove nothing."""
    assert max(simulated.stopped_s[priority.LOW, model] for model in ("", fairness.MODEL)) > BOUND_S / 2
    assert simulated.waits_s(level=priority.LOW)[-1] > BOUND_S


def test_the_same_seed_gives_the_same_run(simulated: fairness.Simulation) -> None:
    again = fairness.drawn(tasks=2000, tenants=10, slots=4, seed=1)

    assert again == simulated.coming
    assert again != fairness.drawn(tasks=2000, tenants=10, slots=4, seed=2)


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        ({"gate_most": 2}, "2 ran at once behind a gate of 1"),
        ({"broker_excess": 3}, "the broker held 3 messages more than its runway"),
        ({"stopped_s": {(priority.LOW, ""): 99.0}}, "a class was stopped for longer than the bound"),
    ],
)
def test_what_did_not_hold_is_told(found: dict[str, Any], sentence: str) -> None:
    broken = fairness.Simulation([], tenants=1, slots=4, gate=1, ageing_s=1)
    broken.stopped_s = {(priority.LOW, ""): 0.0}
    for name, value in found.items():
        setattr(broken, name, value)

    assert list(broken.broken()) == [sentence]


def test_a_bound_that_nothing_could_keep_makes_the_run_fail(capsys: pytest.CaptureFixture[str]) -> None:
    assert fairness.main(["--tasks", "200", *SHORT[2:-1], "-9"]) == 1

    assert "BROKEN: a class was stopped for longer than the bound" in capsys.readouterr().out
