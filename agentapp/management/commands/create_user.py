"""Let a colleague into a tenant."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.urls import reverse

from agentapp import checks, conf
from agentapp.errors import InvalidInput, NotFound
from agentapp.local.home import read_stack
from agentapp.policies import permissions
from agentapp.services import people, tenants


class Command(BaseCommand):
    requires_system_checks = checks.OF_COMMANDS
    help = "Create a person who may sign in to the admin and see one tenant's work. The password is printed once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="what the person signs in with")
        parser.add_argument("--tenant", required=True, help="slug of the tenant; call it again for another one")
        parser.add_argument("--email", default="", help="the address of the person's mail")
        parser.add_argument(
            "--role", default="viewer", choices=[*permissions.ROLES, *people.OLD_NAMES],
            help="viewer reads; agent also decides on approvals; operator also submits, cancels, replays and loads; "
            "administrator also manages people, keys and policies of the tenant",
        )  # fmt: skip

    def handle(self, *args: Any, name: str, tenant: str, role: str, email: str, **options: Any) -> None:
        try:
            membership, password = people.add(name=name, tenant=tenants.get(tenant), role=role, email=email)
        except (InvalidInput, NotFound) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{membership.user} is a member of {tenant} with the role {membership.role}.")
        if password:
            self.stdout.write(f"Password, shown once: {password}")
            where = read_stack(conf.home()).get("url", "") + reverse("admin:index")
            self.stdout.write(f"Sign in at {where}; the link Change password is at the top of each page.")
