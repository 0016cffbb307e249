"""What the commands that erase have in common: how they ask, and what they print."""

from __future__ import annotations

from django.core.management.base import BaseCommand, CommandParser

from agentapp import checks
from agentapp.services.erasing import Report
from agentapp.services.principals import COMMAND_LINE


class EraseCommand(BaseCommand):
    requires_system_checks = checks.OF_COMMANDS

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--yes", action="store_true", help="do not ask")
        parser.add_argument("--by", default=COMMAND_LINE, help="who asks for it (default: %(default)s)")

    def say(self, sentence: str) -> None:
        self.stdout.write(sentence)
        self.stdout.flush()

    def show(self, report: Report) -> None:
        """How many rows went, and how many are left, by table."""
        self.stdout.write(f"{'':30} {'removed':>12} {'left':>6}")
        for what in sorted({*report.removed, *report.left}):
            removed, left = report.removed.get(what, 0), report.left.get(what, 0)
            if removed or left:
                self.stdout.write(f"{what:30} {removed:>12,} {left:>6}")
