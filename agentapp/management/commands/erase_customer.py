"""Erase one customer of a tenant with all that names them."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from agentapp.errors import IllegalMove, InvalidInput, NotFound
from agentapp.lifecycle import erase_customer
from agentapp.management.asking import answer
from agentapp.management.erasing import EraseCommand
from agentapp.policies.counting import count
from agentapp.services import erasing_customers, tenants


class Command(EraseCommand):
    help = (
        "Cancel the tasks of a tenant that name a customer, delete these and all else that names them, and print how "
        "many rows that were. Not undone."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", help="short name of the tenant")
        parser.add_argument("about", help="mail address of the customer, or another word that names them alone")
        super().add_arguments(parser)

    def handle(self, *args: Any, slug: str, about: str, yes: bool, by: str, **options: Any) -> None:
        try:
            who = erasing_customers.of(tenants.get(slug), about)
            if not yes:
                found = [count(rows, name) for name, rows in erasing_customers.named(who).items() if rows]
                self.say(f"What names {who.about}: {', '.join(found) or 'nothing'}.")
                if answer("All of it will be gone. Type the name again to go on: ") != about:
                    raise CommandError("Nothing was changed.")
            report = erasing_customers.customer(who, actor=by, say=self.say)
        except (IllegalMove, InvalidInput, NotFound) as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(f"It is not finished: {error}. Run the command again.") from error
        if any([*report.removed.values(), *report.left.values()]):
            self.show(report)
        self.stdout.write("The customer is erased.")
        for what, rows in erase_customer.set_up(who).items():
            if rows:
                self.stdout.write(
                    f"{count(rows, 'row')} of {what} name them too: people have set them up, and may change them."
                )
