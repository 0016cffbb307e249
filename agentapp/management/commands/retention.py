"""How long tasks are kept."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from agentapp import checks
from agentapp.errors import InvalidInput, NotFound
from agentapp.services import retention_rules, tenants
from agentapp.services.principals import COMMAND_LINE


class Command(BaseCommand):
    requires_system_checks = checks.OF_COMMANDS
    help = "List how long tasks of each kind and state are kept after they have ended; make, change and remove rules."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("kind", nargs="?", default="", help="a workflow kind; all: every kind of --tenant")
        parser.add_argument("state", nargs="?", default="", help="completed, cancelled or failed")
        parser.add_argument("--tenant", default="", help="the tasks of this tenant alone, by its short name")
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--days", type=int, help="keep its tasks so long; 0: forever")
        what.add_argument(
            "--remove", action="store_true", help="let the next rule that fits hold again, or the setting"
        )
        parser.add_argument("--reason", default="", help="why; kept with the change")

    def handle(self, *args: Any, kind: str, state: str, days: int | None, **options: Any) -> None:
        try:
            tenant = tenants.get(options["tenant"]) if options["tenant"] else None
            kind, reason = "" if kind == "all" else kind, options["reason"]
            if days is not None:
                retention_rules.keep(tenant=tenant, kind=kind, state=state, days=days, reason=reason, by=COMMAND_LINE)
            elif options["remove"]:
                rule = retention_rules.find(tenant=tenant, kind=kind, state=state)
                retention_rules.remove(rule, reason=reason, by=COMMAND_LINE)
        except (InvalidInput, NotFound) as error:
            raise CommandError(str(error)) from error
        for term in retention_rules.terms():
            self.stdout.write(f"{term.name}: {f'{term.days} days' if term.days else 'forever'}")
