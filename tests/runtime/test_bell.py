"""The bell that a pool's thread rings when it is free: the worker's main loop wakes and takes the next message."""

from __future__ import annotations

import select

from agentapp.runtime.bell import Bell


def rings(bell: Bell) -> bool:
    return bool(select.select([bell.reader], [], [], 0)[0])


def test_one_hearing_silences_any_number_of_rings() -> None:
    bell = Bell()
    for _ in range(100):
        bell.ring()
    assert rings(bell)

    bell.hear()
    assert not rings(bell)
    bell.hear()


def test_a_bell_that_nobody_hears_holds_up_nobody() -> None:
    bell = Bell()
    for _ in range(100_000):
        bell.ring()

    assert rings(bell)
