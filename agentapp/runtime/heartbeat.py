"""One thread per process renews the leases of all jobs that run in it."""

from __future__ import annotations

import logging
import os
import threading
import time
from uuid import UUID

import psycopg
from django.db import connection

from agentapp import conf
from agentapp.lifecycle.opened import Claimed
from agentapp.lifecycle.renew import renew
from agentapp.observability import events


class Heartbeat:
    """Holds (job -> token, deadline); a job past its deadline is no longer renewed, so that a hung body is rescued.

    The thread has a direct connection of its own: a pool that is busy must not cost a lease.
    """

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._held: dict[UUID, tuple[UUID, float]] = {}
        self._thread: threading.Thread | None = None

    def hold(self, job: Claimed) -> None:
        """Renew this job's lease from now on, until its timeout."""
        if self._pid != os.getpid():
            self._reset()
        with self._lock:
            self._held[job.id] = (job.token, time.monotonic() + job.timeout_s)
            if self._thread is None:
                self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
                self._thread.start()

    def let_go(self, job: Claimed) -> None:
        with self._lock:
            self._held.pop(job.id, None)

    def _alive(self) -> dict[UUID, UUID]:
        moment = time.monotonic()
        with self._lock:
            return {job: token for job, (token, deadline) in self._held.items() if deadline > moment}

    def _beat(self) -> None:
        own: psycopg.Connection | None = None
        while True:
            time.sleep(conf.heartbeat_s())
            leases = self._alive()
            if not leases:
                if own is not None:
                    own.close()
                own = None
                continue
            try:
                own = own or psycopg.connect(**connection.get_connection_params(), autocommit=True)
                renew(own, leases, lease_s=conf.lease_s())
            except psycopg.Error as error:
                events.emit("heartbeat.failed", level=logging.WARNING, error=error)
                if own is not None:
                    own.close()
                own = None


heartbeat = Heartbeat()
