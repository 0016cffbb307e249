"""A test passes on a machine that is busy: it asserts no time that a clock on the wall has measured."""

from __future__ import annotations

import pytest

from tests.structure import stopwatch
from tests.structure.source import Module, modules


def test_no_test_asserts_a_stopwatch() -> None:
    found = [str(violation) for module in modules("tests") for violation in stopwatch.check(module)]

    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    "text",
    [
        "began = time.monotonic()\n    wait()\n    assert time.monotonic() - began < 5",
        "took_s = time.perf_counter() - began\n    assert took_s <= 1.5",
        "assert loaded.p99_s <= 3 * calm.p99_s",
        "assert statistics.median(beside) <= 2 * statistics.median(quiet)",
        "assert p95(few) / p95(alone) <= 3",
        "assert 10 >= elapsed",
    ],
)
def test_a_stopwatch_is_reported(text: str) -> None:
    module = Module.of("tests/api/test_new.py", f"def test_it():\n    {text}\n")

    assert [violation.rule for violation in stopwatch.check(module)] == [stopwatch.RULE]


@pytest.mark.parametrize(
    "text",
    [
        "deadline = time.monotonic() + 60\n    assert time.monotonic() < deadline, 'not within 60 s'",
        "took_s = time.monotonic() - began\n    assert took_s >= 0.2",
        "assert decide(policy, attempt=1) == RetryIn(90)",
        "timed('the exit', drain(), at_most=10)",
    ],
)
def test_a_deadline_and_a_lower_bound_are_not(text: str) -> None:
    module = Module.of("tests/api/test_new.py", f"def test_it():\n    {text}\n")

    assert list(stopwatch.check(module)) == []
