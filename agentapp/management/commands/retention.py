"""How long tasks are kept."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from agentapp import checks
from agentapp.errors import InvalidInput, NotFound
from agentapp.services import retention_rules


class Command(BaseCommand):
    requires_system_checks = checks.OF_COMMANDS
    help = "List how long tasks of each kind and state are kept after they have ended; make, change and remove rules."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("kind", nargs="?", default="", help="a workflow kind")
        parser.add_argument("state", nargs="?", default="", help="completed, cancelled or failed")
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--days", type=int, help="keep its tasks so long; 0: forever")
        what.add_argument("--remove", action="store_true", help="let the setting for the state hold again")
        parser.add_argument("--reason", default="", help="why; kept with the change")

    def handle(
        self, *args: Any, kind: str, state: str, days: int | None, remove: bool, reason: str, **options: Any
    ) -> None:
        try:
            if days is not None:
                retention_rules.keep(kind=kind, state=state, days=days, reason=reason)
            elif remove:
                retention_rules.remove(kind=kind, state=state, reason=reason)
        except (InvalidInput, NotFound) as error:
            raise CommandError(str(error)) from error
        for term in retention_rules.terms():
            kept = f"{term.days} days" if term.days else "forever"
            self.stdout.write(f"{term.kind or 'all other kinds'} {term.state.value}: {kept}")
