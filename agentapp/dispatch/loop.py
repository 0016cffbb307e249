"""`run_dispatcher`: loops that publish what is due and end what is lost. Any number may run; one leads."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from django.db import DatabaseError, InterfaceError, connection

from agentapp import conf
from agentapp.dispatch import rescuer, stager
from agentapp.dispatch.leader import Leader
from agentapp.errors import AgentappError
from agentapp.observability import events

# What a tick does, in this order: first free what is lost, then publish what is due.
DUTIES: tuple[Callable[[], int], ...] = (rescuer.rescue_expired, stager.make_due, rescuer.publish_again)


@dataclass
class Dispatcher:
    """Ticks until `stop` is set. Only the leader acts; the others wait for its lock."""

    stop: threading.Event = field(default_factory=threading.Event)
    leader: Leader = field(default_factory=Leader)

    def run(self) -> None:
        while not self.stop.is_set():
            try:
                busy = self.leader.leads() and sum([duty() for duty in DUTIES]) > 0
            except (AgentappError, DatabaseError, InterfaceError, OSError) as error:
                self._give_up_round(error)
                busy = False
            # Spread, so that two dispatchers do not ask in step.
            self.stop.wait(0 if busy else conf.dispatch_tick_s() * (0.75 + random.random() / 2))  # noqa: S311
        self.leader.resign()

    def _give_up_round(self, error: Exception) -> None:
        events.emit("dispatcher.failed", level=logging.WARNING, error=error)
        self.leader.resign()
        connection.close()
