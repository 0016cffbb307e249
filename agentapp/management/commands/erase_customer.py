"""Erase one customer of a tenant with all that names them."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from agentapp import checks
from agentapp.errors import IllegalMove, InvalidInput, NotFound
from agentapp.lifecycle import erase_customer
from agentapp.management.asking import answer
from agentapp.policies.counting import count
from agentapp.services import erasing_customers, tenants
from agentapp.services.principals import COMMAND_LINE


class Command(BaseCommand):
    requires_system_checks = checks.OF_COMMANDS
    help = (
        "Cancel the tasks of a tenant that name a customer, delete these and all else that names them, and print how "
        "many rows that were. Not undone."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", help="short name of the tenant")
        parser.add_argument("about", help="mail address of the customer, or another word that names them alone")
        parser.add_argument("--yes", action="store_true", help="do not ask")
        parser.add_argument("--by", default=COMMAND_LINE, help="who asks for it (default: %(default)s)")

    def handle(self, *args: Any, slug: str, about: str, yes: bool, by: str, **options: Any) -> None:
        try:
            who = erasing_customers.of(tenants.get(slug), about)
            if not yes:
                found = [count(rows, name) for name, rows in erasing_customers.named(who).items() if rows]
                self._say(f"What names {who.about}: {', '.join(found) or 'nothing'}.")
                if answer("All of it will be gone. Type the name again to go on: ") != about:
                    raise CommandError("Nothing was changed.")
            report = erasing_customers.customer(who, actor=by, say=self._say)
        except (IllegalMove, InvalidInput, NotFound) as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(f"It is not finished: {error}. Run the command again.") from error
        if any([*report.removed.values(), *report.left.values()]):
            self.stdout.write(f"{'':30} {'removed':>12} {'left':>6}")
        for what in sorted({*report.removed, *report.left}):
            removed, left = report.removed.get(what, 0), report.left.get(what, 0)
            if removed or left:
                self.stdout.write(f"{what:30} {removed:>12,} {left:>6}")
        self.stdout.write("The customer is erased.")
        for what, rows in erase_customer.set_up(who).items():
            if rows:
                self.stdout.write(
                    f"{count(rows, 'row')} of {what} name them too: people have set them up, and may change them."
                )

    def _say(self, sentence: str) -> None:
        self.stdout.write(sentence)
        self.stdout.flush()
