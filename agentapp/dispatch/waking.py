"""Waking the leading dispatcher: something waits as a row, or what others wait for is free."""

from __future__ import annotations

import logging
import threading
import time

from agentapp.lifecycle import leadership
from agentapp.observability import events
from agentapp.policies import faults
from agentapp.policies.faults import Fault

# A NOTIFY takes a lock that all commits share. A leader that was woken looks again and again for twice as long, so a
# process that has just called need not call once more.
QUIET_S = 0.5

_lock = threading.Lock()
_called_at_s = 0.0


def wake() -> None:
    """Wake the leader, unless this process did so within half a second. Never raises: the leader looks by itself."""
    global _called_at_s
    with _lock:
        if time.monotonic() - _called_at_s < QUIET_S:
            return
        _called_at_s = time.monotonic()
    with faults.caught(Fault.OUTAGE, Fault.CONTENTION, Fault.LIMIT) as caught:
        leadership.notify()
    if caught.error is not None:
        events.emit("postgres.unavailable", level=logging.WARNING, error=caught.error)
