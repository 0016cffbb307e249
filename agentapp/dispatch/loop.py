"""`run_dispatcher`: loops that publish what is due and end what is lost. Any number may run; one leads."""

from __future__ import annotations

import logging
import random
import threading
import traceback
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from django.db import DatabaseError, InterfaceError, OperationalError, connection

from agentapp import conf
from agentapp.dispatch import bulk, cleaner, pruner, rescuer, stager, timekeeper
from agentapp.dispatch.leader import Leader
from agentapp.errors import AgentappError, Unavailable
from agentapp.observability import events

Duty = Callable[[], int]


@dataclass
class Dispatcher:
    """Ticks until `stop` is set, or sooner when it is woken. Only the leader acts; the others wait for its lock.

    `off` names duties to leave undone: a test of the tests shows with it that their absence is seen.
    """

    off: Collection[str] = ()
    stop: threading.Event = field(default_factory=threading.Event)
    leader: Leader = field(default_factory=Leader)
    watch: rescuer.Watch = field(default_factory=rescuer.Watch)
    sentinel: rescuer.Sentinel = field(default_factory=rescuer.Sentinel)

    def duties(self) -> list[Duty]:
        """What a tick does, in this order: free what is lost, end what is over, then publish what is due."""
        named: dict[str, tuple[Duty, ...]] = {
            "rescue": (
                self.watch.rescue_expired, self.watch.rescue_silent, self.sentinel.refill, rescuer.publish_again,
            ),
            "time": (timekeeper.expire_overdue,),
            "stage": (stager.make_due,),
            "clean_up": (cleaner.clean_up_left_over,),
            "bulk": (bulk.go_on,),
            "prune": (pruner.prune,),
        }  # fmt: skip
        return [duty for name, duties in named.items() if name not in self.off for duty in duties]

    def run(self) -> None:
        duties = self.duties()
        while not self.stop.is_set():
            # Spread, so that two dispatchers do not ask in step.
            tick_s = conf.dispatch_tick_s() * (0.75 + random.random() / 2)  # noqa: S311
            try:
                if not self.leader.leads():
                    self.stop.wait(tick_s)
                elif not sum([_do(duty) for duty in duties]):
                    self.leader.wait(tick_s)
            except (AgentappError, DatabaseError, InterfaceError, OSError) as error:
                self._give_up_round(error)
                self.stop.wait(tick_s)
        self.leader.resign()

    def _give_up_round(self, error: Exception) -> None:
        events.emit("dispatcher.failed", level=logging.WARNING, error=error)
        self.watch.look_away()
        self.leader.resign()
        connection.close()


def _do(duty: Duty) -> int:
    """Do one duty. What keeps one from its work, such as a storage that is away or a row that nobody foresaw, keeps no
    other from theirs.

    Raises:
        Unavailable, OperationalError, InterfaceError: Postgres is away, so nothing can be done.
    """
    try:
        return duty()
    except (Unavailable, OperationalError, InterfaceError):
        raise
    except Exception as error:  # noqa: BLE001 - keep looping
        events.emit("dispatcher.failed", level=logging.ERROR, error="".join(traceback.format_exception(error)))
        return 0
