"""One job in a thread of its own, as in a worker, and what the log tells meanwhile."""

from __future__ import annotations

import logging
import threading

from django.db import connections

from agentapp.models import Job
from agentapp.runtime import runner
from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests.agents import needy
from tests.agents.needy import Meeting
from tests.harness import be_a_worker

LONG_S = 120


class Heard(logging.Handler):
    """Tells a test that an event was logged."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[str, threading.Event] = {}

    def event(self, name: str) -> threading.Event:
        return self._said.setdefault(name, threading.Event())

    def emit(self, record: logging.LogRecord) -> None:
        self.event(getattr(record, "event", "")).set()


class Running:
    """One job in a thread of its own, as in a worker; it has come to where it needs a store."""

    def __init__(self, principal: Principal, kind: str, need: str, *, begins: bool = True) -> None:
        needy.meeting = Meeting()
        be_a_worker()
        self.workflow = workflows.submit(principal, kind=kind, input={"need": need})
        self.job_id = Job.objects.get(workflow=self.workflow).pk
        self._thread = threading.Thread(target=self._run, daemon=True)
        if begins:
            self.begin()
            self.is_there()

    def _run(self) -> None:
        try:
            runner.run(str(self.job_id))
        finally:
            connections.close_all()

    def begin(self) -> None:
        self._thread.start()

    def is_there(self) -> None:
        assert needy.meeting.there.wait(LONG_S)

    def go(self) -> None:
        needy.meeting.go.set()

    def is_over(self) -> None:
        self._thread.join(LONG_S)
        assert not self._thread.is_alive()

    @property
    def job(self) -> Job:
        return Job.objects.get(pk=self.job_id)
