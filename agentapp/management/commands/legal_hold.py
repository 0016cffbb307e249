"""Keep a tenant, one of its tasks, a customer of it or the tasks with a label from being deleted."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from agentapp import checks
from agentapp.errors import IllegalMove, InvalidInput, NotFound
from agentapp.policies import labels
from agentapp.services import legal_holds, tenants
from agentapp.services.principals import COMMAND_LINE


class Command(BaseCommand):
    requires_system_checks = checks.OF_COMMANDS
    help = "Place a legal hold on a tenant or a part of it, so that nothing of it is deleted; list and lift holds."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", help="short name of the tenant")
        on = parser.add_mutually_exclusive_group()
        on.add_argument("--task", default="", help="this task alone")
        on.add_argument("--customer", default="", help="what names this customer: a mail address or a name")
        on.add_argument("--label", default="", help=f"tasks with this label. {labels.HOW}")
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--reason", default="", help="why it is placed; without it, holds are listed")
        what.add_argument("--lift", metavar="REASON", default="", help="lift the hold, and why")
        parser.add_argument("--by", default=COMMAND_LINE, help="who asks for it (default: %(default)s)")

    def handle(self, *args: Any, slug: str, reason: str, lift: str, by: str, **options: Any) -> None:
        try:
            tenant = tenants.get(slug)
            on = legal_holds.cover(tenant, **{name: options[name] for name in ("task", "customer", "label")})
            if reason:
                legal_holds.place(tenant, on=on, reason=reason, by=by)
            elif lift:
                legal_holds.lift(legal_holds.find(tenant, on), reason=lift, by=by)
        except (IllegalMove, InvalidInput, NotFound) as error:
            raise CommandError(str(error)) from error
        holds = legal_holds.listing(tenant)
        for hold in holds:
            since = f"since {hold.placed_at:%Y-%m-%d %H:%M} UTC by {hold.placed_by}"
            self.stdout.write(f"{hold.covers}: {since}: {hold.reason}")
        if not holds:
            self.stdout.write(f"No legal hold is left on {slug}." if lift else f"There is no legal hold on {slug}.")
