"""Make a client's credential and show it once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from agentapp import checks, clock, conf
from agentapp.errors import InvalidInput, NotFound
from agentapp.local.home import read_stack
from agentapp.services import api_keys, tenants

NO_STACK_URL = "http://127.0.0.1:8000"
EXAMPLE = """{"kind": "support_reply", "input": {"subject": "A question",
       "body": "How do I begin?", "customer_email": "you@example.org"}}"""


class Command(BaseCommand):
    requires_system_checks = checks.OF_COMMANDS
    help = "Make an API key for a tenant. It is printed once: only a hash of it is kept."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("tenant", help="slug of the tenant it belongs to")
        parser.add_argument("--name", required=True, help="who uses it")
        parser.add_argument(
            "--scope", "--scopes", nargs="+", action="extend", required=True, metavar="SCOPE",
            help=", ".join(api_keys.ALL_SCOPES),
        )  # fmt: skip
        parser.add_argument("--mask-payloads", action="store_true", help="it reads no prompts, inputs and outputs")
        parser.add_argument("--token-only", action="store_true", help="print the key and nothing else, for scripts")
        parser.add_argument("--expires-in-days", type=int, metavar="N", help="never, when left out")

    def handle(
        self, *args: Any, tenant: str, name: str, scope: list[str], expires_in_days: int | None, **options: Any
    ) -> None:
        if expires_in_days is not None and not 1 <= expires_in_days <= 36_500:
            raise CommandError("--expires-in-days must be between 1 and 36500.")
        expires_at = clock.now() + timedelta(days=expires_in_days) if expires_in_days else None
        try:
            key, token = api_keys.create(
                tenant=tenants.get(tenant), name=name, scopes=scope, expires_at=expires_at,
                sees_payloads=not options["mask_payloads"],
            )  # fmt: skip
        except (InvalidInput, NotFound) as error:
            raise CommandError(str(error)) from error
        if options["token_only"]:
            self.stdout.write(token)
            return
        until = f"until {expires_at:%Y-%m-%d}" if expires_at else "until it is revoked"
        self.stdout.write(f"Key {key.prefix} of {tenant}, {until}, for {', '.join(key.scopes)}. It is shown once:")
        self.stdout.write(f"\n  {token}\n\n")
        self.stdout.write(self._curl(token, key.scopes))

    def _curl(self, token: str, scopes: list[str]) -> str:
        url = read_stack(conf.home()).get("url", NO_STACK_URL)
        if "tasks:write" in scopes:
            return (
                f"Try it:\n\n  curl -s {url}/tasks -H 'Authorization: Bearer {token}' \\\n"
                f"    -H 'Content-Type: application/json' -d '{EXAMPLE}'\n"
            )
        noun = scopes[0].partition(":")[0].replace("_", "-")
        return f"Try it:\n\n  curl -s {url}/{noun} -H 'Authorization: Bearer {token}'\n"
