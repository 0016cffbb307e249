"""What a drill asks, and how it is answered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from agentapp.drill.ground import Ground


class Verdict(Enum):
    """Green alone has passed. "not available" and "skipped" are neither green nor red."""

    GREEN = "green"
    RED = "red"
    NOT_AVAILABLE = "not available"
    SKIPPED = "skipped"


class Red(Exception):
    """The stack does not do what it must; the message is the evidence."""


class NotAvailable(Exception):
    """The question cannot be asked of this stack; the message says why."""


@dataclass(frozen=True)
class Question:
    """`ask` causes the fault and returns the evidence in numbers.

    It raises Red, or NotAvailable, or TooLate of agentapp.drill.ground, which counts as red.
    """

    name: str
    ask: Callable[[Ground], str]


@dataclass(frozen=True)
class Answer:
    """One line of a report."""

    question: str
    verdict: Verdict
    evidence: str
    seconds: float

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"verdict": self.verdict.value, "seconds": round(self.seconds, 2)}


def passed(answers: list[Answer]) -> bool:
    """Tell whether at least one question is green and none is red."""
    verdicts = {answer.verdict for answer in answers}
    return Verdict.GREEN in verdicts and Verdict.RED not in verdicts
