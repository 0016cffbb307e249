"""Publish what is due and rescue what is lost, until SIGTERM. Run two of them: one leads, the other waits."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from agentapp import checks, conf
from agentapp.api import shapes
from agentapp.dispatch.loop import Dispatcher, Hooks
from agentapp.errors import IllegalMove
from agentapp.lifecycle import at_start
from agentapp.lifecycle.postgresql import limits
from agentapp.observability import tracing
from agentapp.policies import connections, faults
from agentapp.policies.faults import Fault
from agentapp.services import approval_mails, restoring, schedule_runs


class Command(BaseCommand):
    requires_system_checks = checks.OF_COMMANDS
    help = "Publish what is due and rescue what is lost, until SIGTERM. Any number may run: one leads."

    def handle(self, *args: Any, **options: Any) -> None:
        # Where Postgres is away it is waited for, as later; a copy is led by no dispatcher.
        with faults.caught(Fault.OUTAGE, Fault.CONTENTION, Fault.LIMIT):
            try:
                restoring.refuse_copy()
            except IllegalMove as error:
                raise CommandError(str(error)) from error
        limits.be("dispatcher")
        at_start.look(connections.DISPATCHER)
        hooks = Hooks(shapes.task, schedule_runs.start_due, approval_mails.tell)
        dispatcher = Dispatcher(hooks, off=conf.duties_off())

        def stop(signum: int, frame: FrameType | None) -> None:
            dispatcher.stop.set()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        tracing.install("dispatcher")
        dispatcher.run()
        tracing.flush()
