"""What became due is made available, and what waits is published as far as there is room."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field
from uuid import UUID

from agentapp import conf
from agentapp.dispatch import publisher
from agentapp.dispatch.duty import REST_TIMES
from agentapp.dispatch.publisher import Batch
from agentapp.dispatch.sweep import Sweep
from agentapp.lifecycle import admit
from agentapp.lifecycle import begin_scheduled as begin_move
from agentapp.lifecycle import make_due as move
from agentapp.lifecycle.opened import Opened
from agentapp.models import Job
from agentapp.policies import admission
from agentapp.policies.backlog import Backlog, Turns

BATCH = 200
ACTOR = "dispatcher"
# A lane shows so many jobs: what one decision may admit of it.
HEADS = 64
# A worker that was silent for so many heartbeats serves nobody.
ALIVE_HEARTBEATS = 5
WAKE_EVERY_S = 1.0


DUE = Sweep[Job]("due jobs", key=lambda job: job.pk, workflow=lambda job: job.workflow_id)
SCHEDULED = Sweep[UUID]("scheduled tasks", key=lambda task: task, workflow=lambda task: task)
# What is marked as published and then not sent is found by the rescuer, like a message that was lost.
ADMITTED = Sweep[Opened]("admitted jobs", key=lambda opened: opened.jobs[0].id)
QUEUES = Sweep[tuple[str, Batch]]("queues of admitted jobs", key=lambda item: item[0])


def make_due() -> int:
    """Make jobs available whose time has come, publish those that there is room for, and return how many."""
    return DUE.each(move.due(limit=BATCH, but_not=DUE.set_aside()), _make_due)


@dataclass
class Waker:
    """Looks once a second for parked jobs that need not wait any longer. `next_at_s` is on the monotonic clock."""

    next_at_s: float = 0.0

    def wake(self) -> int:
        """Make them due, and return how many."""
        if time.monotonic() < self.next_at_s:
            return 0
        began_s = time.monotonic()
        woken = move.wake_parked(limit=BATCH)
        ended_s = time.monotonic()
        self.next_at_s = 0.0 if woken else ended_s + max(WAKE_EVERY_S, REST_TIMES * (ended_s - began_s))
        return woken


def begin_scheduled() -> int:
    """Begin tasks whose time has come, and return how many."""
    return SCHEDULED.each(begin_move.due(limit=BATCH, but_not=SCHEDULED.set_aside()), _begin)


def _begin(workflow_id: UUID) -> bool:
    opened = begin_move.begin(workflow_id, actor=ACTOR)
    publisher.publish(opened)
    return opened is not None


def _make_due(job: Job) -> bool:
    opened = move.make_due(job, actor=ACTOR)
    publisher.publish(opened)
    return opened is not None


@dataclass
class Stager:
    """Admits from the backlog. `next_s`: after how many seconds a meter lets the next job pass, None: nobody knows.
    `look_s`: how long the last look took."""

    turns: Turns = field(default_factory=Turns)
    next_s: float | None = None
    look_s: float = 0.0

    def look(self) -> Backlog:
        """Return what waits, what is under way, and what all keys are held to."""
        return admit.backlog(heads=HEADS, alive_s=conf.heartbeat_s() * ALIVE_HEARTBEATS)

    def admit(self) -> int:
        """Publish the jobs that are next, as policies.admission decides, and return how many."""
        # A look that fails tells nothing.
        began_s, self.next_s = time.monotonic(), None
        # What is published lasts for the next look and its rest.
        ahead_s = max(admission.RUNWAY_S, (1 + REST_TIMES) * self.look_s)
        decision = admission.decide(self.look(), self.turns, ageing_s=conf.ageing_s(), ahead_s=ahead_s)
        admitted = admit.admit(decision)
        _publish(admitted)
        self.turns = decision.turns
        # Where all rows are locked, another look at once would find the same.
        self.next_s = decision.next_s if admitted or decision.next_s else None
        self.look_s = time.monotonic() - began_s
        return len(admitted)


def promote() -> int:
    """Publish once more what more urgent work has overtaken in the broker for too long, and return how many."""
    return _publish(admit.promote(after_s=conf.ageing_s(), limit=BATCH))


def _publish(admitted: list[Opened]) -> int:
    """Publish jobs, a queue at a time, and return how many were sent: one trip to the broker for each queue, and one
    that cannot be written to keeps no other waiting."""
    batches = defaultdict[str, Batch](Batch)
    ADMITTED.each(admitted, lambda opened: batches[opened.jobs[0].queue].add(opened))
    return QUEUES.each(batches.items(), lambda item: len(item[1]) if item[1].send() else 0)
