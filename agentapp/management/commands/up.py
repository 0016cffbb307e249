"""Run the whole stack on this machine until Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from agentapp.client import Client
from agentapp.local.problem import StackProblem
from agentapp.local.stack import LocalStack


class Command(BaseCommand):
    help = "Run the whole stack on this machine until Ctrl-C: servers, web, workers, dispatcher, Flower."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--port", type=int, default=settings.AGENTAPP_PORT, help="port of the web; 0 takes a free one"
        )

    def handle(self, *, port: int, **options: Any) -> None:
        stack = LocalStack(settings.AGENTAPP_HOME, port, say=self._say)
        stopped = threading.Event()
        try:
            with ends_as_interrupt(), stack:
                self._print_addresses(stack)
                stopped.wait()
        except KeyboardInterrupt:
            self._say("Stopped.")
        except StackProblem as error:
            raise CommandError(str(error)) from error

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()

    def _print_addresses(self, stack: LocalStack) -> None:
        about = stack.stack
        self._say(f"\nagentapp runs at {about['url']}")
        self._say(f"  Console  {about['url']}/console/")
        self._say(f"  Admin    {about['admin_url']}")
        self._say(f"  API      {about['url']}/docs")
        if about["flower_url"]:
            self._say(f"  Flower   {about['flower_url']}  (read-only, same name and password as the admin)")
        self._say(f"  Mails    {'sent by the server of EMAIL_URL' if about['mail_is_sent'] else about['mail_dir']}")
        self._say(f"  Logs     {stack.home / 'logs'}")
        self._say(f"  Sign in  {about['admin_user']}; the password and the API keys are in {stack.home / 'stack.json'}")
        if stack.is_first_start:
            self._say("\nCreated at this first start:")
            self._say(f"  Admin    {about['admin_user']} / {about['admin_password']}")
            self._say(f"  API key that submits    {about['api_key']}")
            self._say(f"  API key that approves   {about['approver_api_key']}")
        if "REDIS_URL" in os.environ and Client(about["url"], "").read("/readyz").get("broker") != "up":
            self._say("\nThe broker of REDIS_URL does not answer. Tasks are accepted, and run when it does.")
        self._say("\nCtrl-C stops it; the data is kept.")


@contextlib.contextmanager
def ends_as_interrupt() -> Iterator[None]:
    """Make SIGTERM and SIGHUP raise KeyboardInterrupt once, as Ctrl-C does; later ones cannot cut the stop short."""

    def interrupt(number: int, frame: object) -> None:
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
