"""What does not answer is left alone for a while; then one call tries it, and the others go on being told."""

from __future__ import annotations

import threading

from agentapp.dispatch.circuit import FIRST_S, LONGEST_S, PROBE_S, Circuit


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def opened() -> tuple[Circuit, Clock]:
    clock = Clock()
    circuit = Circuit(clock)
    circuit.failed()
    return circuit, clock


def test_after_a_failure_nobody_calls_for_a_while() -> None:
    circuit, clock = opened()

    assert not circuit.may_call()
    clock.now_s += FIRST_S
    assert circuit.may_call()


def test_one_of_many_tries_it() -> None:
    circuit, clock = opened()
    clock.now_s += FIRST_S
    allowed: list[bool] = []
    threads = [threading.Thread(target=lambda: allowed.append(circuit.may_call())) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert allowed.count(True) == 1


def test_a_success_lets_everybody_through() -> None:
    circuit, clock = opened()
    clock.now_s += FIRST_S
    assert circuit.may_call()
    circuit.succeeded()

    assert circuit.may_call() and circuit.may_call()


def test_each_failure_doubles_the_wait_up_to_the_longest() -> None:
    circuit, _ = opened()
    waits = []
    for _ in range(6):
        waits.append(circuit.open_until_s - 100)
        circuit.failed()

    assert waits == [0.5, 1, 2, 3, 3, 3] and waits[-1] == LONGEST_S


def test_a_try_that_never_reports_is_followed_by_another() -> None:
    circuit, clock = opened()
    clock.now_s += FIRST_S
    assert circuit.may_call()
    assert not circuit.may_call()
    clock.now_s += PROBE_S

    assert circuit.may_call()
