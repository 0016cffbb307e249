"""The verdict of `python -m bench.scale`: which figures make it return 1. [G5]"""

from __future__ import annotations

import pytest

from bench import scale

FIGURES: scale.Figures = {
    "claim": (2.0, 0.0, 0.0), "one task": (5.0, 5.0, 1.0), scale.PAGE: (40.0, 40.0, 20.0),
    scale.SAMPLES: (400.0, 400.0, 300.0),
}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "is_over"),
    [
        ({}, False),
        ({"one task": [(5.0, 6.6, 1.0)] * 3}, True),
        # What else runs makes it slower by the clock, at times.
        ({"one task": [(9.0, 5.0, 1.0), (9.0, 5.0, 1.0), (6.0, 5.0, 1.0)]}, False),
        # A disk that is waited for.
        ({"one task": [(9.0, 5.0, 1.0)] * 3}, True),
        ({"claim": [(2.7, 0.0, 0.0)] * 3}, True),
        # Of the operations page: 6 s a minute are a tenth of a core.
        ({scale.SAMPLES: [(400.0, 400.0, 5_000.0)] * 3}, False),
        ({scale.SAMPLES: [(400.0, 400.0, 5_900.0)] * 3}, True),
        ({scale.PAGE: [(40.0, 40.0, 990.0)] * 3}, True),
    ],
)
def test_what_takes_more_beside_many_tasks_makes_it_fail(
    changed: dict[str, list[tuple[float, float, float]]], *, is_over: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    large = [FIGURES | {name: rounds[number] for name, rounds in changed.items()} for number in range(3)]

    assert scale.report([10_000, 1_000_000], [[FIGURES] * 3, large]) == int(is_over)
    assert ("over" in capsys.readouterr().out.replace("over all", "")) is is_over
