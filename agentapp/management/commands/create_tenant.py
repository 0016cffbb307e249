"""Make a tenant."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from agentapp import checks
from agentapp.errors import InvalidInput
from agentapp.services import tenants


class Command(BaseCommand):
    requires_system_checks = checks.OF_COMMANDS
    help = "Make a tenant, whose tasks, documents and keys no other tenant sees."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", help="its short name: a-z, 0-9 and hyphens")
        parser.add_argument("--name", default="", help="its name for people; the slug when left out")
        parser.add_argument("--tier", default=tenants.TIER, help="gates can be made for the tenants of a tier")
        parser.add_argument("--weight", type=float, default=tenants.WEIGHT, help="its share beside others' weights")

    def handle(self, *args: Any, slug: str, name: str, tier: str, weight: float, **options: Any) -> None:
        try:
            tenant = tenants.create(slug=slug, name=name or slug, tier=tier, weight=weight)
        except InvalidInput as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Created the tenant {tenant.slug} ({tenant.name}). Create a key for it with:")
        self.stdout.write(
            f"  .venv/bin/python manage.py create_api_key {tenant.slug} --name NAME --scope tasks:write tasks:read"
        )
