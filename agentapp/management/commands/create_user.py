"""Let a colleague into a tenant."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.urls import reverse

from agentapp import conf
from agentapp.errors import InvalidInput, NotFound
from agentapp.local.home import read_stack
from agentapp.policies import permissions
from agentapp.services import people, tenants


class Command(BaseCommand):
    help = "Create a person who may sign in to the admin and see one tenant's work. The password is printed once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="what the person signs in with")
        parser.add_argument("--tenant", required=True, help="slug of the tenant; call it again for another one")
        parser.add_argument(
            "--role", default="viewer", choices=[*permissions.ROLES, *people.OLD_NAMES],
            help="viewer reads; agent also decides on approvals; operator also submits, cancels, replays and loads; "
            "administrator also manages people, keys and policies of the tenant",
        )  # fmt: skip

    def handle(self, *args: Any, name: str, tenant: str, role: str, **options: Any) -> None:
        try:
            person, password = people.add(name=name, tenant=tenants.get(tenant), role=role)
        except (InvalidInput, NotFound) as error:
            raise CommandError(str(error)) from error
        role = people.OLD_NAMES.get(role, role)
        self.stdout.write(f"{person.get_username()} is a member of {tenant} with the role {role}.")
        if password:
            self.stdout.write(f"Password, shown once: {password}")
            where = read_stack(conf.home()).get("url", "") + reverse("admin:index")
            self.stdout.write(f"Sign in at {where}; the link Change password is at the top of each page.")
