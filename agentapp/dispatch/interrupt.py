"""Interrupting what another thread waits for at a database connection."""

from __future__ import annotations

import logging
import os
import socket

import psycopg

from agentapp.observability import events
from agentapp.policies import faults
from agentapp.policies.faults import Fault

CANCEL_S = 1.0


def interrupt(session: psycopg.Connection | None, *, drop: bool = False) -> None:
    """Cancel the statement that a thread waits for; with `drop`, end the connection under it. Never raises.

    Postgres, or the network, may be what hangs: then the cancel is not heard, and only dropping helps.
    """
    if session is None or session.closed:
        return
    with faults.caught(Fault.OUTAGE, Fault.LIMIT) as caught:
        if drop:
            # Not close(): the other thread waits in the same object. It finds that the other side has hung up.
            with socket.socket(fileno=os.dup(session.fileno())) as line:
                line.shutdown(socket.SHUT_RDWR)
        else:
            session.cancel_safe(timeout=CANCEL_S)
    if caught.error is not None:
        events.emit("postgres.unavailable", level=logging.WARNING, error=caught.error)
