"""Keep a tenant, or one of its tasks, from being deleted."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from agentapp import checks
from agentapp.errors import IllegalMove, InvalidInput, NotFound
from agentapp.services import legal_holds, tenants
from agentapp.services.principals import COMMAND_LINE


class Command(BaseCommand):
    requires_system_checks = checks.OF_COMMANDS
    help = "Place a legal hold on a tenant or a task, so that nothing of it is deleted; list and lift holds."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", help="short name of the tenant")
        parser.add_argument("--task", type=UUID, help="this task alone")
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--reason", default="", help="why it is placed; without it, holds are listed")
        what.add_argument("--lift", metavar="REASON", default="", help="lift the hold, and why")
        parser.add_argument("--by", default=COMMAND_LINE, help="who asks for it (default: %(default)s)")

    def handle(self, *args: Any, slug: str, task: UUID | None, reason: str, lift: str, by: str, **options: Any) -> None:
        try:
            tenant = tenants.get(slug)
            if reason:
                legal_holds.place(tenant, task_id=task, reason=reason, actor=by)
            elif lift:
                legal_holds.lift(tenant, task_id=task, reason=lift, actor=by)
        except (IllegalMove, InvalidInput, NotFound) as error:
            raise CommandError(str(error)) from error
        holds = legal_holds.listing(tenant)
        for hold in holds:
            what = f"task {hold.workflow_id}" if hold.workflow_id else "all"
            self.stdout.write(f"{what}: since {hold.placed_at:%Y-%m-%d %H:%M} UTC by {hold.placed_by}: {hold.reason}")
        if not holds:
            self.stdout.write(f"No legal hold is left on {slug}." if lift else f"There is no legal hold on {slug}.")
