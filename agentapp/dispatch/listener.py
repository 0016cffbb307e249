"""Hearing calls: a NOTIFY wakes the duties that publish, long before their next tick.

An optimisation. Without a direct connection to Postgres nobody is heard, and the duties look by themselves.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from agentapp.dispatch.leader import Leader
from agentapp.lifecycle import database, leadership
from agentapp.observability import events
from agentapp.policies import faults
from agentapp.policies.faults import Fault

LISTEN_S = 1.0
AFTER_ERROR_S = 1.0
# Behind a pooler: whether that has changed is asked again after so long.
DEAF_S = 60.0


def listen(leader: Leader, stop: threading.Event, *, heard: Callable[[], None]) -> None:
    """Call `heard` for every call while this process leads, until `stop`. The loop of a thread."""
    while not stop.is_set():
        if not leader.leads():
            leader.wait_for_lead(stop)
            continue
        with faults.caught(Fault.OUTAGE, Fault.LIMIT) as caught:
            _listen(leader, stop, heard)
        if caught.error is not None:
            events.emit("postgres.unavailable", level=logging.WARNING, error=caught.error)
            stop.wait(AFTER_ERROR_S)


def _listen(leader: Leader, stop: threading.Event, heard: Callable[[], None]) -> None:
    with database.session() as session:
        if not leadership.hears(session):
            session.close()
            stop.wait(DEAF_S)
            return
        # What was said before.
        heard()
        while leader.leads() and not stop.is_set():
            if leadership.woken(session, within_s=LISTEN_S):
                heard()
