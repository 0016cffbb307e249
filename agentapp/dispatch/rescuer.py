"""What was lost is found: leases that ran out, dead processes, messages that never arrived, a broker that forgot."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar
from uuid import UUID

from agentapp import conf
from agentapp.dispatch import broker, publisher
from agentapp.dispatch.steadiness import longest_gap_s
from agentapp.dispatch.sweep import Sweep
from agentapp.lifecycle import database, lose, republish
from agentapp.models import Job
from agentapp.observability import events
from agentapp.policies import liveness, priority

T = TypeVar("T")

BATCH = 200
ACTOR = "dispatcher"
# More than one heartbeat, so that a living process has beaten in between.
LOOKS_APART_HEARTBEATS = 1.25

LEASES = Sweep[Job]("lost leases", key=lambda job: job.pk, workflow=lambda job: job.workflow_id)
DEAD = Sweep[tuple[int, liveness.Leases]]("dead workers", key=lambda found: str(found[0]))
LOST = Sweep[Job]("lost messages", key=lambda job: job.pk, workflow=lambda job: job.workflow_id)


def _rescue(jobs: list[Job], *, seen: Mapping[str, str] | None = None, is_certain: bool = False) -> int:
    """End the attempts of these jobs, publish what is available again at once, and return how many."""
    lost = lose.losses(jobs) if jobs else {}
    beside = lose.beside(jobs, lost)

    def end(job: Job) -> bool:
        expires = datetime.fromisoformat(seen[str(job.pk)]) if seen and str(job.pk) in seen else None
        opened = lose.lose(
            job, actor=ACTOR, seen=expires, is_certain=is_certain, lost_before=lost[job.pk], beside=beside.get(job.pk)
        )
        if opened is None:
            return False
        events.emit("job.rescued", level=logging.WARNING, job=job.pk, type=job.type, worker=job.worker)
        publisher.publish(opened)
        return True

    return LEASES.each(jobs, end)


def rescue_of(worker: str) -> int:
    """End the attempts of a worker process that has certainly ended; `worker` is its name with process id."""
    return _rescue(lose.running_at(worker), is_certain=True)


@dataclass
class Watch:
    """Ends the attempts of workers that are gone: by their leases, and before that by the advisory lock that each
    process holds in its session, as policies.liveness judges.

    While Postgres was away, or stood still, nobody could renew, and the locks of living processes may be free. So after
    a start of Postgres, an outage, a gap, or a lock on the heartbeat's tables, nothing is believed for a full lease.
    `steady_s` says for how long it has answered without a gap.
    """

    steady_s: Callable[[], float] = lambda: math.inf
    # For tests, which have no time to wait: neither for a young Postgres to grow old nor for a second look at a lease.
    believes_at_once: bool = False
    known: dict[int, liveness.Sighting] = field(default_factory=dict)
    blind_until_s: float = 0.0
    # Since when no look was answered.
    asked_s: float | None = None
    # When a lease that has run out was found first, by its token.
    expired: dict[UUID | None, float] = field(default_factory=dict)

    def look_away(self) -> None:
        """Postgres was away: believe nothing for a full lease."""
        self.known = {}
        self.blind_until_s = time.monotonic() + conf.lease_s()

    def is_blind(self) -> bool:
        return self.steady_s() < conf.lease_s() or time.monotonic() < self.blind_until_s

    def _look(self, question: Callable[[], T]) -> T | None:
        """Ask Postgres, and return None where the answer is not to be believed.

        Judged behind the answer, which may have been under way while Postgres stood still. A look that failed counts
        until the next that succeeds: somebody may have locked the tables of the heartbeat.
        """
        if self.asked_s is None:
            self.asked_s = time.monotonic()
        # Asked each time: a restart may take less than the time between two looks.
        up_s = lose.postgres_up_s()
        found = question()
        waited_s, self.asked_s = time.monotonic() - self.asked_s, None
        if waited_s > longest_gap_s():
            self.look_away()
        is_young = up_s < conf.lease_s() and not self.believes_at_once
        return None if is_young or self.is_blind() else found

    def rescue_expired(self) -> int:
        """End the attempts whose lease has run out, and return how many.

        A lease must be found twice, more than a heartbeat apart: while somebody held its row, the heartbeat has passed
        it over. One that could not be ended for such a lock is left out of looks for a while, and found anew.
        """
        found = self._look(partial(lose.expired, limit=BATCH, but_not=LEASES.set_aside())) or []
        now_s = time.monotonic()
        self.expired = {job.lease_token: self.expired.get(job.lease_token, now_s) for job in found}
        apart_s = 0.0 if self.believes_at_once else conf.heartbeat_s() * LOOKS_APART_HEARTBEATS
        return _rescue([job for job in found if now_s - self.expired[job.lease_token] >= apart_s])

    def rescue_silent(self) -> int:
        """End the attempts of processes that are dead, and return how many."""
        apart_s = conf.heartbeat_s() * LOOKS_APART_HEARTBEATS
        silent = self._look(partial(lose.silent, heartbeat_s=conf.heartbeat_s()))
        if silent is None:
            self.known = {}
            return 0
        dead, self.known = liveness.judge(self.known, silent, now_s=time.monotonic(), apart_s=apart_s)
        rescued = DEAD.each(dead.items(), lambda found: _rescue(lose.held_by(found[0]), seen=found[1]))
        if dead:
            events.emit("worker.dead", level=logging.WARNING, processes=len(dead), jobs=rescued)
        return rescued


def publish_again() -> int:
    """Publish available jobs whose message is lost, and return how many.

    A job is suspected when it has been available and published for a second without a claim. Where a queue is first
    in, first out and can be looked into, a message that should have left before the oldest one there, or whose queue is
    empty, is lost. Where the oldest do not tell, or nobody can look, it is published again with a back-off that
    doubles, so that a long backlog is not flooded. A surplus message has no effect: the claim refuses it.
    """
    repeated = 0
    found = republish.suspects(limit=BATCH, but_not=LOST.set_aside())
    if not found:
        return 0
    # By Postgres, as the moments of publishing that it is compared with.
    moment = database.now()
    for (queue, level), suspects in found.items():
        try:
            there = broker.waiting(queue, priority.to_broker(level))
        except ConnectionError as error:
            events.emit("publish.failed", level=logging.WARNING, error=error)
            return repeated
        # Messages that may wait all the same were not taken: nobody may conclude that no worker knows their job type.
        publish = _publish if there.is_known else _publish_once_more
        repeated += LOST.each(republish.lost(suspects, there.count, there.oldest, moment), publish)
    return repeated


def _publish(job: Job) -> bool:
    """Publish a job once more, unless it was claimed meanwhile; one that no worker claims becomes a dead letter in the
    end. False when nothing was sent."""
    if republish.is_unclaimed(job):
        events.emit("job.not_claimed", level=logging.ERROR, job=job.pk, type=job.type, messages=job.publishes)
        return publisher.publish(republish.give_up(job, actor=ACTOR))
    return _publish_once_more(job)


def _publish_once_more(job: Job) -> bool:
    """Publish a job once more, unless it was claimed meanwhile. False when nothing was sent."""
    opened = republish.again(job)
    if opened is None:
        return False
    events.emit("publish.repeated", job=job.pk, type=job.type, publishes=job.publishes)
    return publisher.publish(opened)


@dataclass
class Sentinel:
    """Notices that the broker has forgotten its queues: a note beside them is gone, or older than the last one.

    That tells FLUSHALL or an empty restart apart from a slow queue, at the next tick.
    """

    last_s: float | None = None

    def refill(self) -> int:
        """Publish what was published into a broker that has forgotten it, and return how many jobs that were."""
        if not broker.tells_of_loss():
            return 0
        # By Postgres, as the moments of publishing that it is compared with.
        moment = database.now()
        try:
            found = broker.sentinel()
            refilled = 0
            if found is None or (self.last_s is not None and found < self.last_s):
                refilled = self._refill(moment, None if found is None else datetime.fromtimestamp(found, UTC))
                if refilled < 0:
                    return 0
            broker.note(moment.timestamp())
        except ConnectionError:
            return 0
        self.last_s = moment.timestamp()
        return refilled

    def _refill(self, moment: datetime, kept: datetime | None) -> int:
        """Publish again what is not among the messages that it `kept`; -1 when the broker went away meanwhile."""
        since = kept - timedelta(seconds=republish.SUSPECT_AFTER_S) if kept else None
        refilled = 0
        while jobs := republish.published_before(moment, since=since, limit=BATCH, but_not=LOST.set_aside()):
            sent = LOST.each(jobs, _publish)
            refilled += sent
            if not sent:
                # The broker went away again, or this process leads no longer: the note is not written, and the next
                # look begins again. Where all of them were claimed meanwhile, it finds nothing.
                return -1
        if refilled:
            events.emit("broker.refilled", level=logging.WARNING, jobs=refilled)
        return refilled
