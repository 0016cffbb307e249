"""The parent of a prefork pool sees a child end: the jobs of that child are lost now, not when their leases run out."""

from __future__ import annotations

import logging
from typing import Any

from billiard.exceptions import TimeLimitExceeded, WorkerLostError
from celery import Task
from celery.worker.request import Request as CeleryRequest
from django.db import connections

from agentapp.dispatch import rescuer
from agentapp.observability import events
from agentapp.policies import faults
from agentapp.policies.faults import Fault
from agentapp.runtime.process import this


class Request(CeleryRequest):
    """A message in the parent. The job that its child ran may be another one by now: leases are ended by child."""

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        if isinstance(exc_info.exception, WorkerLostError | TimeLimitExceeded):
            self._end_leases()
        return super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)

    def on_timeout(self, soft: bool, timeout: float) -> Any:
        if not soft:
            self._end_leases()
        return super().on_timeout(soft, timeout)

    def _end_leases(self) -> None:
        if not self.worker_pid:
            return
        try:
            with faults.caught(Fault.OUTAGE, Fault.CONTENTION, Fault.LIMIT) as caught:
                rescuer.rescue_of(f"{this.name}:{self.worker_pid}")
            if caught.error is not None:
                # The dispatcher finds out by the child's lock or lease.
                events.emit("postgres.unavailable", level=logging.WARNING, error=caught.error)
        finally:
            # The next child is forked from this process and must inherit no connection.
            connections.close_all()


class JobMessage(Task[Any, Any]):
    """The Celery task of a job type. `Request` serves a prefork pool; one of threads has a strategy of its own."""

    Strategy = "agentapp.runtime.strategy:strategy"
    Request = "agentapp.runtime.loss:Request"
