"""Cause faults in the running stack and check that it recovers; exit code 1 when a check is red. [H6]"""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import ProgrammingError
from rich.console import Console

from agentapp.drill import course
from agentapp.drill.answers import Answer, Verdict
from agentapp.drill.ground import Ground
from agentapp.drill.screen import line, summary, table
from agentapp.errors import AgentappError
from agentapp.models import DrillReport
from agentapp.policies import faults
from agentapp.policies.faults import Fault


class Command(BaseCommand):
    help = (
        "Kill a worker, repeat and lose messages, let a job fail for good, and check that the running stack recovers."
    )
    requires_system_checks = []  # they load every address, which takes a second

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print the report as one JSON object")
        parser.add_argument(
            "--timeout-s", type=float, default=60,
            help="how long nothing may happen to what a check waits for (default: %(default)s)",
        )  # fmt: skip
        parser.add_argument(
            "--skip", action="append", default=[], choices=course.names(), metavar="QUESTION",
            help=f"leave a question out; may be repeated. Questions: {', '.join(course.names())}",
        )  # fmt: skip

    def handle(self, *, timeout_s: float, skip: list[str], **options: Any) -> None:
        if timeout_s <= 0:
            raise CommandError("--timeout-s must be more than 0 seconds.")
        try:
            with faults.caught(Fault.OUTAGE, Fault.CONTENTION, Fault.LIMIT) as caught:
                report = self._run(Ground.prepare(limit_s=timeout_s), skip=skip, as_json=options["json"])
            if caught.error is not None:
                raise CommandError(str(caught.error)) from caught.error
        except ProgrammingError as error:
            raise CommandError(f"The database is not up to date: run manage.py migrate. ({error})") from error
        except AgentappError as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            raise CommandError("Stopped: its tasks are cancelled, and no report is kept.") from None
        red = [item["question"] for item in report.answers if item["verdict"] == Verdict.RED.value]
        if not report.passed:
            raise CommandError(f"Red: {', '.join(red)}." if red else "No question was answered.")

    def _run(self, ground: Ground, *, skip: list[str], as_json: bool) -> DrillReport:
        console = Console()
        if as_json:
            report = course.run(ground, skip=skip, watcher=course.Watcher(_silent, _silent))
            self.stdout.write(json.dumps(as_object(report), indent=2))
        elif console.is_terminal:
            report = self._run_in_terminal(console, ground, skip)
        else:
            report = course.run(ground, skip=skip, watcher=course.Watcher(_silent, self._say))
            self.stdout.write(summary(report))
        return report

    def _run_in_terminal(self, console: Console, ground: Ground, skip: list[str]) -> DrillReport:
        answers: list[Answer] = []
        with console.status("") as waiting:
            watcher = course.Watcher(lambda name: waiting.update(f"{name} ..."), answers.append)
            report = course.run(ground, skip=skip, watcher=watcher)
        console.print(table(answers))
        self.stdout.write(summary(report))
        return report

    def _say(self, answer: Answer) -> None:
        self.stdout.write(line(answer))
        self.stdout.flush()


def _silent(_: object) -> None:
    """Who reads JSON waits for the whole of it."""


def as_object(report: DrillReport) -> dict[str, Any]:
    """Return a report as JSON shows it; times are RFC 3339 in UTC."""
    return {
        "id": str(report.pk),
        "started_at": report.started_at.isoformat(),
        "finished_at": report.finished_at.isoformat(),
        "passed": report.passed,
        "answers": report.answers,
    }
