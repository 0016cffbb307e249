"""Give each class of processes a role of its own in Postgres."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from agentapp import checks
from agentapp.lifecycle.roles import applying, statements
from agentapp.lifecycle.roles.statements import Role
from agentapp.management import addresses as addresses_file
from agentapp.management import processes

PREFIX = "DATABASE_URL_"


class Command(BaseCommand):
    requires_system_checks = checks.OF_COMMANDS
    help = (
        "Make a role of Postgres for each class of processes, which may do what that class needs. Prints the SQL, "
        "or applies it with the connection of DATABASE_URL, which must own the tables. May be run again; run it "
        "after each migrate."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        processes.add_arguments(parser, made="roles", printed="the SQL", line=f"{PREFIX}NAME=ADDRESS")
        parser.add_argument(
            "--row-security", choices=("on", "off"),
            help="bind the role of the web process to the tenants of who asks, or release it (default: as it is; on "
            "for roles that are new). Not while a web process of a release before this one runs",
        )  # fmt: skip

    def handle(
        self, *args: Any, apply: bool, prefix: str, worker: list[str] | None, addresses: Path | None,
        row_security: str | None, force: bool, **options: Any,
    ) -> None:  # fmt: skip
        roles = statements.roles(prefix, processes.workers(worker))
        wanted = None if row_security is None else row_security == "on"
        if not apply:
            self.stdout.write(applying.script(roles, row_security=wanted))
            return
        kept = {**addresses_file.read(addresses), **os.environ}
        passwords = {role.name: password for role in roles if (password := _password(role, kept))}
        if addresses:
            passwords = {role.name: passwords.get(role.name) or addresses_file.new_password() for role in roles}
            # Before they hold: a run that is killed in between is made again with the same ones.
            lines = {_variable(role): applying.address(role, passwords[role.name]) for role in roles}
            if own := addresses_file.write(addresses, lines, force=force):
                self.stdout.write(addresses_file.stayed(addresses, own))
        applying.apply(roles, passwords, row_security=wanted)
        for role in roles:
            served = f", for jobs of {', '.join(role.queues)}" if role.queues else ""
            self.stdout.write(f"{role.name}: {len(role.tables())} tables, {len(role.moves())} moves{served}")
        if lacking := applying.without_password(roles):
            self.stdout.write(f"Without a password yet: {', '.join(lacking)}. See docs/howto/least_privilege.md.")
        unbound = applying.unbound(roles)
        if bound := [role.name for role in roles if role.group and role.name not in unbound]:
            self.stdout.write(f"Bound by row-level security: {', '.join(bound)}.")
        if unbound and wanted is None:
            self.stdout.write(
                f"Row-level security does not bind {', '.join(unbound)} yet. When no web process of an older release "
                "runs any more: database_roles --apply --row-security on"
            )


def _variable(role: Role) -> str:
    """The variable that holds the address of a role; the Procfile reads it."""
    return f"{PREFIX}{role.process.upper()}"


def _password(role: Role, kept: Mapping[str, str]) -> str:
    """Raises CommandError: the address is another role's."""
    variable = _variable(role)
    return addresses_file.password(kept.get(variable, ""), role.name, variable=variable, noun="role")
