"""Schedules that are due start their tasks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from agentapp.dispatch.sweep import Sweep
from agentapp.lifecycle import schedules
from agentapp.models import Schedule

# Who may submit what is for the services to say, which are above this layer: who starts a dispatcher gives it.
Start = Callable[[Schedule], int]

BATCH = 200

DUE = Sweep[Schedule]("schedules", key=lambda schedule: schedule.pk)


@dataclass(frozen=True)
class Scheduler:
    """`start` starts what is due of a schedule and returns how many tasks that made."""

    start: Start

    def start_due(self) -> int:
        """Start what is due of all schedules, and return how many tasks that made."""
        return DUE.each(schedules.due(limit=BATCH, but_not=DUE.set_aside()), self.start)
