"""Publish what is due and rescue what is lost, until SIGTERM. Run two of them: one leads, the other waits."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand

from agentapp import conf
from agentapp.api import shapes
from agentapp.dispatch.loop import Dispatcher, Hooks
from agentapp.services import approval_mails, schedule_runs


class Command(BaseCommand):
    help = "Publish what is due and rescue what is lost, until SIGTERM. Any number may run: one leads."

    def handle(self, *args: Any, **options: Any) -> None:
        hooks = Hooks(shapes.task, schedule_runs.start_due, approval_mails.tell)
        dispatcher = Dispatcher(hooks, off=conf.duties_off())

        def stop(signum: int, frame: FrameType | None) -> None:
            dispatcher.stop.set()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        dispatcher.run()
