"""How long a statement may take, and how long it may wait for a lock, by the class of the process that makes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class TimeLimits:
    """In seconds; 0 sets no limit."""

    statement_s: float = 0.0
    lock_s: float = 0.0

    def parameters(self) -> Iterator[tuple[str, str]]:
        """The parameters of Postgres that say so."""
        yield "statement_timeout", f"{self.statement_s * 1000:.0f}ms"
        yield "lock_timeout", f"{self.lock_s * 1000:.0f}ms"


NONE = TimeLimits()
# A request is not kept waiting. A worker is the most patient about locks: giving up may cost an attempt. A duty of the
# dispatcher has a shorter limit of its own; this is for the case that nobody is left to keep that.
BY_PROCESS: Mapping[str, TimeLimits] = MappingProxyType({
    "web": TimeLimits(statement_s=15.0, lock_s=10.0),
    "worker": TimeLimits(statement_s=60.0, lock_s=30.0),
    "dispatcher": TimeLimits(statement_s=90.0, lock_s=10.0),
    "readonly": TimeLimits(statement_s=30.0, lock_s=10.0),
})  # fmt: skip


def of(process: str) -> TimeLimits:
    """The limits of a process, such as `web` or `worker_model`. A command, such as a migration, has none: it may take
    hours, and somebody sits in front of it."""
    return BY_PROCESS.get(process.partition("_")[0], NONE)
