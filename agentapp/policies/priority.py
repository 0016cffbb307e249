"""Priorities: 0 is the most urgent."""

from __future__ import annotations

NAMES = ("urgent", "high", "normal", "low")
# kombu's Redis transport keeps one list per step of three; 0 is read first.
BROKER_STEP = 3
URGENT, HIGH, NORMAL, LOW = range(4)
# The classes that can be overdue, each first for once.
IN_TURN = ((LOW, NORMAL, HIGH), (NORMAL, HIGH, LOW), (HIGH, LOW, NORMAL))


def by_name(name: str) -> int:
    """Raises ValueError for a word that is not a priority."""
    return NAMES.index(name)


def known(priority: int) -> int:
    """Return the class that is nearest to a number, which may come from a model's answer or another release."""
    return min(max(priority, URGENT), LOW)


def name_of(priority: int) -> str:
    """Return the name of a job's priority."""
    return NAMES[known(priority)]


def to_broker(priority: int) -> int:
    """Return the message priority of a job's priority."""
    return known(priority) * BROKER_STEP


def of_broker(priority: int) -> int:
    """Return the priority of a job whose message has this one."""
    return known(priority // BROKER_STEP)


def is_overdue(priority: int, age_s: float, *, ageing_s: float) -> bool:
    """Tell whether a job has waited `ageing_s` for each class between it and urgent."""
    return priority > URGENT and age_s >= priority * ageing_s


def longest_stop_s(*, ageing_s: float) -> float:
    """The published bound: no class is passed over for longer by work of more urgent classes.

    After it, its turn comes within five choices of its queue beside urgent work alone, within fifteen beside others.
    """
    return 3 * ageing_s
