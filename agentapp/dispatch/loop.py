"""`run_dispatcher`: duties that publish what is due and end what is lost. Any number may run; one leads.

Each duty has a thread, a database connection and a time limit of its own, so one that hangs stops no other. The main
thread asks no server anything: it looks after the others.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from agentapp import conf
from agentapp.dispatch import (
    auditor,
    bulk,
    bulk_cancel,
    cleaner,
    indexer,
    measurer,
    pruner,
    rescuer,
    sampler,
    stager,
    sweep,
    timekeeper,
)
from agentapp.dispatch.duty import Duty
from agentapp.dispatch.interrupt import interrupt
from agentapp.dispatch.leader import LEASE_S, RENEW_EVERY_S, Leader
from agentapp.dispatch.listener import listen
from agentapp.dispatch.schedules import Scheduler, Start
from agentapp.dispatch.webhooks import Shape, Spreader
from agentapp.observability import events
from agentapp.observability.alive import Alive

LOOK_AFTER_S = 0.25
# Threads that do not end within this are left behind; their process ends.
STOP_S = 3.0


def tick_s() -> float:
    """Spread, so that two dispatchers, or two duties, do not ask in step."""
    return conf.dispatch_tick_s() * (0.75 + random.random() / 2)  # noqa: S311


@dataclass(frozen=True)
class Hooks:
    """What the layers above do for a duty: `task_shape` returns what webhooks tell of a task, `start_schedule` starts
    what is due of a schedule, `mail_approvers` tells those who may decide of what waits."""

    task_shape: Shape
    start_schedule: Start
    mail_approvers: Callable[[], int] = lambda: 0


def duties(leader: Leader, hooks: Hooks, *, off: Collection[str] = ()) -> list[Duty]:
    """Return what a leader does, but for those named `off`."""
    watch = rescuer.Watch(steady_s=leader.steadiness.seconds)
    sentinel, admitter, meter = rescuer.Sentinel(), stager.Stager(), measurer.Measurer()
    waker = stager.Waker()
    every = [
        Duty("rescue", (watch.rescue_expired, watch.rescue_silent), tick_s, on_outage=watch.look_away),
        Duty("publish", (sentinel.refill, rescuer.publish_again, stager.promote), tick_s),
        Duty("due", (waker.wake, stager.make_due, stager.begin_scheduled), tick_s, stays_awake=True),
        Duty("admit", (admitter.admit,), tick_s, stays_awake=True, next_s=lambda: admitter.next_s),
        Duty("time", (timekeeper.expire_overdue, timekeeper.remind), tick_s),
        Duty("measure", (meter.measure,), tick_s, limit_s=30.0),
        # Apart from "measure": it reads much of a busy minute, and the runways of queues must not wait for it.
        Duty("sample", (sampler.Sampler().sample,), tick_s, limit_s=30.0),
        Duty("clean_up", (cleaner.clean_up_left_over,), tick_s),
        Duty("bulk", (bulk.go_on, bulk_cancel.go_on), tick_s, limit_s=30.0, stays_awake=True),
        Duty("webhooks", (Spreader(hooks.task_shape).spread,), tick_s, stays_awake=True),
        Duty("schedules", (Scheduler(hooks.start_schedule).start_due,), tick_s, stays_awake=True),
        Duty("approval_mails", (hooks.mail_approvers,), lambda: 4 * tick_s()),
        # Slower than the others: what happens to a task meanwhile is indexed at once.
        Duty("search", (indexer.follow, indexer.go_back), lambda: 2 * tick_s(), limit_s=30.0),
        Duty("prune", (auditor.seal, pruner.prune), tick_s, limit_s=60.0),
    ]
    return [duty for duty in every if duty.name not in off]


@dataclass
class Dispatcher:
    """Runs until `stop` is set. Only the leader acts; the others wait for its lease to end.

    `off` names duties to leave undone: a test of the tests shows with it that their absence is seen.
    """

    hooks: Hooks
    off: Collection[str] = ()
    stop: threading.Event = field(default_factory=threading.Event)
    leader: Leader = field(default_factory=Leader)
    duties: list[Duty] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.duties = duties(self.leader, self.hooks, off=self.off)

    def run(self) -> None:
        threads = [
            self._start("lead", self._lead),
            self._start("listen", lambda: listen(self.leader, self.stop, heard=self._call)),
            *(self._start(duty.name, partial(duty.run, self.leader, self.stop)) for duty in self.duties),
        ]
        alive = Alive()
        while not self.stop.wait(LOOK_AFTER_S):
            alive.moves()
            for duty in self.duties:
                duty.look_after()
            self._look_after_lead()
        self._end(threads)

    def _end(self, threads: list[threading.Thread]) -> None:
        """Let rounds end, then free the lease: the next leader begins at once."""
        self._call()
        for thread in threads:
            thread.join(STOP_S / len(threads))
        self.leader.resign()

    def _start(self, name: str, target: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=target, name=name, daemon=True)
        thread.start()
        return thread

    def _lead(self) -> None:
        """Keep the lease, or try to get it. The loop of a thread."""
        while not self.stop.is_set():
            try:
                leads = self.leader.renew(self.report())
            except Exception as error:  # noqa: BLE001 - keep asking
                events.emit("postgres.unavailable", level=logging.WARNING, error=error)
                leads = False
            self.stop.wait(RENEW_EVERY_S if leads else tick_s())

    def _look_after_lead(self) -> None:
        # Over a line that is dead but not closed an answer would be waited for until the system gives it up.
        if self.leader.asks_for_s() > LEASE_S:
            interrupt(self.leader.session, drop=True)

    def _call(self) -> None:
        for duty in self.duties:
            if duty.stays_awake or self.stop.is_set():
                duty.call()

    def report(self) -> dict[str, Any]:
        """How the duties go, and what raises and is set aside, for readiness and the admin."""
        return {"duties": {duty.name: duty.report() for duty in self.duties}, "set_aside": sweep.bad_items()}
