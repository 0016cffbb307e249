"""Erase a tenant with all that is kept of it."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from agentapp import checks
from agentapp.errors import IllegalMove, NotFound
from agentapp.management.asking import answer
from agentapp.services import erasing, tenants
from agentapp.services.principals import COMMAND_LINE


class Command(BaseCommand):
    requires_system_checks = checks.OF_COMMANDS
    help = "Suspend a tenant, cancel its work, delete all its rows, files and keys, and print how many. Not undone."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", help="its short name")
        parser.add_argument("--yes", action="store_true", help="do not ask")
        parser.add_argument("--by", default=COMMAND_LINE, help="who asks for it (default: %(default)s)")

    def handle(self, *args: Any, slug: str, yes: bool, by: str, **options: Any) -> None:
        try:
            tenant = tenants.get(slug)
            if not yes and answer(f"All that is kept of {slug} will be gone. Type its name to go on: ") != slug:
                raise CommandError("Nothing was changed.")
            report = erasing.tenant(tenant, actor=by, say=self._say)
        except (IllegalMove, NotFound) as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(f"It is not finished: {error}. Run the command again.") from error
        self.stdout.write(f"{'':30} {'removed':>12} {'left':>6}")
        for what in sorted({*report.removed, *report.left}):
            removed, left = report.removed.get(what, 0), report.left.get(what, 0)
            if removed or left:
                self.stdout.write(f"{what:30} {removed:>12,} {left:>6}")
        self.stdout.write(f"The tenant {slug} is erased.")

    def _say(self, sentence: str) -> None:
        self.stdout.write(sentence)
        self.stdout.flush()
