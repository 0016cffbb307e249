"""Erase a tenant with all that is kept of it."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from agentapp.errors import IllegalMove, NotFound
from agentapp.management.asking import answer
from agentapp.management.erasing import EraseCommand
from agentapp.services import erasing, tenants


class Command(EraseCommand):
    help = "Suspend a tenant, cancel its work, delete all its rows, files and keys, and print how many. Not undone."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", help="its short name")
        super().add_arguments(parser)

    def handle(self, *args: Any, slug: str, yes: bool, by: str, **options: Any) -> None:
        try:
            tenant = tenants.get(slug)
            if not yes and answer(f"All that is kept of {slug} will be gone. Type its name to go on: ") != slug:
                raise CommandError("Nothing was changed.")
            report = erasing.tenant(tenant, actor=by, say=self.say)
        except (IllegalMove, NotFound) as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(f"It is not finished: {error}. Run the command again.") from error
        self.show(report)
        self.stdout.write(f"The tenant {slug} is erased.")
