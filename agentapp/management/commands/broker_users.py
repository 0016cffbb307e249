"""Give each class of processes a user of its own in the broker: Redis, Valkey or RabbitMQ."""

from __future__ import annotations

import json
import os
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from agentapp import checks
from agentapp.dispatch import redis_client
from agentapp.dispatch.broker_users import applying, rabbitmq, rights
from agentapp.dispatch.broker_users.applying import Named
from agentapp.dispatch.broker_users.rights import User
from agentapp.local.files import write_private
from agentapp.management import addresses as addresses_file
from agentapp.management import processes

SETTINGS = ("REDIS_URL", "BROKER_URL")
RABBITMQ = ("amqp://", "amqps://")
SEE = "See docs/howto/broker_users.md."


class Command(BaseCommand):
    requires_system_checks = checks.OF_COMMANDS
    help = (
        "Make a user of the broker for each class of processes, which may do what that class needs. Of Redis or "
        "Valkey it prints the lines of an ACL file, or applies them with the connection of REDIS_URL or BROKER_URL; "
        "for RabbitMQ it writes a file for `rabbitmqctl import_definitions`. May be run again; run it after each "
        "upgrade."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        processes.add_arguments(parser, made="users", printed="the lines", line="REDIS_URL_NAME=ADDRESS")
        parser.add_argument(
            "--definitions", type=Path, metavar="FILE",
            help="write the users of RabbitMQ, with their permissions and hashes of their passwords, into this file",
        )  # fmt: skip
        passwords = parser.add_mutually_exclusive_group()
        passwords.add_argument(
            "--rotate", action="store_true",
            help="write new passwords into the file; those that it held stay valid until --only-these",
        )  # fmt: skip
        passwords.add_argument(
            "--only-these", action="store_true", help="let no passwords be valid but those of the file or variables"
        )

    def handle(
        self, *args: Any, apply: bool, prefix: str, worker: list[str] | None, addresses: Path | None, rotate: bool,
        only_these: bool, definitions: Path | None, force: bool, **options: Any,
    ) -> None:  # fmt: skip
        if definitions:
            if apply or rotate or only_these or not addresses:
                raise CommandError(f"--definitions needs --addresses, and takes --prefix and --worker. {SEE}")
            self._define(prefix, processes.workers(worker), addresses, definitions, force=force)
            return
        places = _places()
        # Celery's own server, where there are two: its channels are named after the database there.
        url = places.get("BROKER_URL") or next(iter(places.values()))
        users = rights.users(prefix, processes.workers(worker), database=int(urlsplit(url).path.strip("/") or 0))
        kept = _known(users, places, {**os.environ, **addresses_file.read(addresses)})
        if rotate and not (addresses and apply):
            raise CommandError("--rotate needs --apply and --addresses FILE, which gets the new passwords.")
        if lacking := [user.name for user in users if only_these and not addresses and user.name not in kept]:
            raise CommandError(f"--only-these would leave {', '.join(lacking)} without a password. {SEE}")
        chosen = dict(kept)
        if addresses:
            chosen = _passwords(users, {} if rotate else kept)
        valid = {user.name: _some(kept.get(user.name), chosen.get(user.name)) for user in users}
        if addresses and not rotate:
            # Before they hold: a run that is killed in between is made again with the same ones.
            self._write(addresses, users, places, chosen, force=force)
        if not apply:
            for user in users:
                self.stdout.write(user.line([applying.digest(password) for password in valid[user.name]]))
            return
        lacking = self._apply(list(dict.fromkeys(places.values())), users, valid, only_these=only_these or rotate)
        if addresses and rotate:
            # After they hold beside the old ones: a process that starts meanwhile finds a password that holds.
            self._write(addresses, users, places, chosen, force=force, rotates=True)
        self._list(users)
        if lacking:
            self.stdout.write(f"Without a password yet: {', '.join(lacking)}. {SEE}")

    def _define(
        self, prefix: str, workers: Mapping[str, tuple[str, ...]], addresses: Path, file: Path, *, force: bool
    ) -> None:
        """Write the users of RabbitMQ for `rabbitmqctl import_definitions`."""
        if not settings.BROKER_URL.startswith(RABBITMQ):
            raise CommandError(f"--definitions is for RabbitMQ, and BROKER_URL names none. {SEE}")
        places, users = {"BROKER_URL": settings.BROKER_URL}, rabbitmq.users(prefix, workers)
        kept = _known(users, places, {**os.environ, **addresses_file.read(addresses)})
        passwords = _passwords(users, kept)
        self._write(addresses, users, places, passwords, force=force)
        made = rabbitmq.definitions(users, passwords, url=settings.BROKER_URL)
        write_private(file, json.dumps(made, indent=2) + "\n")
        self._list(users)
        self.stdout.write(f"Make them by `rabbitmqctl import_definitions {file}`. {SEE}")

    def _write(
        self, file: Path, users: Sequence[Named], places: Mapping[str, str], passwords: Mapping[str, str], *,
        force: bool, rotates: bool = False,
    ) -> None:  # fmt: skip
        lines = {
            _variable(place, user): applying.address(url, user, passwords[user.name])
            for user in users for place, url in places.items()
        }  # fmt: skip
        if own := addresses_file.write(file, lines, force=force, rotates=rotates):
            self.stdout.write(addresses_file.stayed(file, own))

    def _list(self, users: Sequence[Named]) -> None:
        for user in users:
            self.stdout.write(f"{user.name}: takes jobs of {', '.join(user.queues) or 'no class'}")

    def _apply(
        self, urls: list[str], users: Sequence[User], valid: dict[str, list[str]], *, only_these: bool
    ) -> list[str]:
        """Make them in each server, and return those that have no password."""
        lacking: set[str] = set()
        for url in urls:
            host = urlsplit(url).hostname
            try:
                with closing(applying.Server(url)) as server:
                    server.apply(users, valid, only_these=only_these)
                    if not server.save():
                        self.stdout.write(f"{host} has no file for its users: it forgets them when it restarts. {SEE}")
                    lacking.update(server.without_password(users))
            except ConnectionError as error:
                raise CommandError(f"The users could not be made at {host}: {error}. {SEE}") from error
        return sorted(lacking)


def _places() -> dict[str, str]:
    """The settings that name a Redis or Valkey, with its address."""
    found = {name: str(getattr(settings, name)) for name in SETTINGS}
    if not redis_client.address():
        raise CommandError(f"Neither REDIS_URL nor BROKER_URL names a Redis or Valkey; RabbitMQ: --definitions. {SEE}")
    if not found["REDIS_URL"]:
        # One server for all, by the name that the environment has for it.
        return {name: found["BROKER_URL"] for name in SETTINGS if os.environ.get(name)} or {
            "REDIS_URL": found["BROKER_URL"]
        }
    return {name: url for name, url in found.items() if url.startswith(("redis://", "rediss://"))}


def _known(users: Sequence[Named], places: Mapping[str, str], lines: Mapping[str, str]) -> dict[str, str]:
    """The password of each user, as far as a line holds one.

    Raises CommandError: an address is another user's.
    """
    found: dict[str, str] = {}
    for user in users:
        for place in places:
            variable = _variable(place, user)
            address = lines.get(variable, "")
            if password := addresses_file.password(address, user.name, variable=variable, noun="user"):
                found.setdefault(user.name, password)
    return found


def _passwords(users: Sequence[Named], held: Mapping[str, str]) -> dict[str, str]:
    """The password that each holds, or a new one."""
    return {user.name: held.get(user.name) or addresses_file.new_password() for user in users}


def _variable(place: str, user: Named) -> str:
    """The variable that holds the address of a user; the Procfile reads it."""
    return f"{place}_{user.process.upper()}"


def _some(*passwords: str | None) -> list[str]:
    return list(dict.fromkeys(filter(None, passwords)))
