"""Start everything, ask five questions, show where to approve. ONCE=1 approves by itself and ends."""

from __future__ import annotations

import os
import threading
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console

from agentapp.client import Refused, Unreachable
from agentapp.local import ports
from agentapp.local.demo import Demo
from agentapp.local.demo_screen import Screen
from agentapp.local.problem import StackProblem
from agentapp.local.stack import LocalStack
from agentapp.management.commands.up import ends_as_interrupt
from agentapp.policies.counting import count as counted

LOOK_EVERY_S = 0.5
ONCE_WITHIN_S = 150


class Command(BaseCommand):
    help = "Start the stack, load this project's documentation, ask five questions and show their progress."
    requires_system_checks = []
    is_usual_port_taken = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        once = os.environ.get("ONCE", "") not in ("", "0")
        parser.add_argument("--port", type=int, default=None, help="port of the web process; 0 takes a free one")
        parser.add_argument("--once", action="store_true", default=once, help="approve over the API, then exit")

    def handle(self, *, port: int | None, once: bool, **options: Any) -> None:
        # Wide enough for the whole table where the terminal does not say how wide it is.
        self.console = Console(width=None if Console().is_terminal else 120)
        # Its sample mails go to nobody: they stay on this machine whatever EMAIL_URL says.
        env = {"EMAIL_URL": ""}
        if once:
            # No person approves, and nobody would undo.
            env["AGENTAPP_SEND_HOLD_S"] = "0"
        stack = LocalStack(settings.AGENTAPP_HOME, self._port(port), env=env, say=self._say)
        try:
            with ends_as_interrupt(), stack:
                if self.is_usual_port_taken:
                    self._say(f"Port {settings.AGENTAPP_PORT} is taken: the web process uses a free one.")
                demo = Demo(stack.stack)
                self._ask(demo, Path(settings.BASE_DIR) / "docs")
                if once:
                    self._run_once(demo)
                else:
                    self._run_on(demo, stack)
        except KeyboardInterrupt:
            self._say("Stopped. The data is kept: `make up` starts again with it, `make reset` deletes it.")
        except StackProblem as error:
            raise CommandError(str(error)) from error
        except (Refused, Unreachable) as error:
            raise CommandError(f"{error} The logs are under {stack.home / 'logs'}.") from error

    def _port(self, port: int | None) -> int:
        """The port that was asked for; else the usual one, or a free one if that is taken.

        Said when the stack runs: it may be this home's own that has taken it, and that is another message.
        """
        if port is not None or "PORT" in os.environ:
            return settings.AGENTAPP_PORT if port is None else port
        try:
            return ports.wanted(settings.AGENTAPP_PORT)
        except StackProblem:
            self.is_usual_port_taken = True
            return 0

    def _ask(self, demo: Demo, docs: Path) -> None:
        self._say("Loading this project's documentation as the knowledge base ...")
        count = demo.load(docs)
        demo.submit()
        self._say(f"Loaded {counted(count, 'document')}, submitted {counted(len(demo.asked), 'question')}.\n")

    def _run_once(self, demo: Demo) -> None:
        deadline = time.monotonic() + ONCE_WITHIN_S
        with Screen(self.console).open() as screen:
            while not demo.is_over and time.monotonic() < deadline:
                demo.look()
                demo.approve()
                screen.show(demo.asked)
                time.sleep(LOOK_EVERY_S)
        summary = demo.summary()
        self._say(f"\n{summary}")
        if not summary.is_good:
            waiting = ", ".join(
                f"question {item.number} is {item.state}" for item in demo.asked if item.state != "completed"
            )
            raise CommandError(f"Not everything arrived: {waiting or 'see the mails above'}.")

    def _run_on(self, demo: Demo, stack: LocalStack) -> None:
        """Show the questions until they wait for a person, say where to click, and stay up."""
        with Screen(self.console).open() as screen:
            while not demo.is_over and not demo.waits_for_a_person:
                demo.look()
                screen.show(demo.asked)
                time.sleep(LOOK_EVERY_S)
        self._say_where_to_click(demo, stack)
        completed: set[int] = set()
        while not demo.is_over:
            demo.look()
            for item in demo.asked:
                if item.state == "completed" and item.number not in completed:
                    completed.add(item.number)
                    self._say(f"Question {item.number} is completed.")
            time.sleep(1)
        self._say(f"\n{demo.summary()}\nThe mails are in {stack.stack['mail_dir']}. Ctrl-C stops the stack.")
        threading.Event().wait()

    def _say_where_to_click(self, demo: Demo, stack: LocalStack) -> None:
        about = stack.stack
        waiting = [item for item in demo.asked if item.approval]
        self._say(f"\nWaiting for your approval: {counted(len(waiting), 'reply')}. Nothing is sent until you approve.")
        self._say(f"  Approve      {about['admin_url']}agentapp/approval/")
        self._say(f"  Watch, ask   {about['url']}/console/")
        self._say(f"  Sign in as   {about['admin_user']} / {about['admin_password']}")
        self._say(f"  Everything   {about['url']}   Flower {about['flower_url']} (same name and password)")
        self._say("  Ask more     .venv/bin/python manage.py load_documents DIR")
        self._say('               .venv/bin/python manage.py ask "..."')
        self._say(f"  The API      {about['url']}/docs")
        self._say(f'               curl -H "Authorization: Bearer {about["api_key"]}" {about["url"]}/tasks')
        self._say("\nCtrl-C stops the stack. Its data is kept for the next start.\n")

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
