"""`run_dispatcher`: loops that publish what is due and end what is lost. Any number may run; one leads."""

from __future__ import annotations

import logging
import random
import threading
import time
import traceback
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from django.db import connection

from agentapp import conf
from agentapp.dispatch import bulk, cleaner, measurer, pruner, rescuer, stager, timekeeper, waking
from agentapp.dispatch.leader import Leader
from agentapp.observability import events
from agentapp.policies import faults
from agentapp.policies.faults import Fault

Duty = Callable[[], int]
# Between two looks at what waits. What is freed meanwhile is admitted together.
BREATH_S = 0.02
LEAST_BREATH_S = 0.002


@dataclass
class Dispatcher:
    """Ticks until `stop` is set, or sooner when it is woken. Only the leader acts; the others wait for its lock.

    `off` names duties to leave undone: a test of the tests shows with it that their absence is seen.
    """

    off: Collection[str] = ()
    stop: threading.Event = field(default_factory=threading.Event)
    leader: Leader = field(default_factory=Leader)
    stager: stager.Stager = field(default_factory=stager.Stager)
    measurer: measurer.Measurer = field(default_factory=measurer.Measurer)
    watch: rescuer.Watch = field(default_factory=rescuer.Watch)
    sentinel: rescuer.Sentinel = field(default_factory=rescuer.Sentinel)
    awake_until_s: float = 0.0
    staged_in_s: float = 0.0

    def duties(self) -> list[Duty]:
        """What a tick does, in this order: free what is lost, end what is over, then publish what is due."""
        named: dict[str, tuple[Duty, ...]] = {
            "rescue": (
                self.watch.rescue_expired, self.watch.rescue_silent, self.sentinel.refill, rescuer.publish_again,
            ),
            "time": (timekeeper.expire_overdue,),
            "stage": (*self.staging(), stager.promote),
            "measure": (self.measurer.measure,),
            "clean_up": (cleaner.clean_up_left_over,),
            "bulk": (bulk.go_on,),
            "prune": (pruner.prune,),
        }  # fmt: skip
        return [duty for name, duties in named.items() if name not in self.off for duty in duties]

    def staging(self) -> tuple[Duty, ...]:
        """What is done again and again between two ticks, while something moves."""
        return () if "stage" in self.off else (stager.make_due, self.stager.admit)

    def run(self) -> None:
        while not self.stop.is_set():
            # Spread, so that two dispatchers do not ask in step.
            tick_s = conf.dispatch_tick_s() * (0.75 + random.random() / 2)  # noqa: S311
            try:
                if self.leader.leads():
                    self._lead(tick_s)
                else:
                    self.stop.wait(tick_s)
            except Exception as error:  # noqa: BLE001 - keep looping
                self._give_up_round(error)
                self.stop.wait(tick_s)
        self.leader.resign()

    def _lead(self, tick_s: float) -> None:
        """One round of all duties, then, until the next, of the staging alone: at once when a meter lets the next job
        pass, and every few hundredths of a second while something moves or somebody called."""
        over_s = time.monotonic() + tick_s
        if sum([_do(duty) for duty in self.duties()]):
            self._stay_awake(True)
            # There may be more of it.
            over_s = time.monotonic() + BREATH_S
        while not self.stop.is_set() and (left_s := over_s - time.monotonic()) > 0:
            if self._is_awake():
                left_s = min(left_s, max(BREATH_S, stager.REST_TIMES * self.staged_in_s))
            if self.stager.next_s is not None:
                left_s = min(left_s, max(self.stager.next_s, LEAST_BREATH_S))
            self._stay_awake(self.leader.wait(left_s))
            if self._is_awake() or self.stager.next_s is not None:
                began_s = time.monotonic()
                self._stay_awake(sum([_do(duty) for duty in self.staging()]) > 0)
                self.staged_in_s = time.monotonic() - began_s

    def _is_awake(self) -> bool:
        return time.monotonic() < self.awake_until_s

    def _stay_awake(self, whether: bool) -> None:
        if whether:
            self.awake_until_s = time.monotonic() + waking.AWAKE_S

    def _give_up_round(self, error: Exception) -> None:
        events.emit("dispatcher.failed", level=logging.WARNING, error=error)
        self.watch.look_away()
        self.leader.resign()
        connection.close()


def _do(duty: Duty) -> int:
    """Do one duty. What keeps one from its work, such as a storage that is away or a row that nobody foresaw, keeps no
    other from theirs.

    Raises:
        Unavailable, or an error of Postgres's driver: Postgres is away or only reads, so nothing can be done.
    """
    try:
        return duty()
    except Exception as error:
        if faults.of(error) is Fault.OUTAGE and not isinstance(error, OSError):
            raise
        events.emit("dispatcher.failed", level=logging.ERROR, error="".join(traceback.format_exception(error)))
        return 0
