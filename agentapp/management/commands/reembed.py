"""Embed the documents and facts of tenants by the embedding model that is configured now. [C9]"""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from agentapp import checks
from agentapp.errors import InvalidInput, NotFound
from agentapp.models import Tenant
from agentapp.services import reembedding, tenants


class Command(BaseCommand):
    requires_system_checks = checks.OF_COMMANDS
    help = "Embed all documents and facts again, by a task for each tenant; searches use the vectors before until then."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--tenant", metavar="SLUG", help="this tenant alone (default: all that have texts)")
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--status", action="store_true", help="say how far it is, and start nothing")
        what.add_argument("--cancel", action="store_true", help="cancel what runs; it may be started again")

    def handle(self, *args: Any, tenant: str | None, status: bool, cancel: bool, **options: Any) -> None:
        try:
            chosen = [tenants.get(tenant)] if tenant else reembedding.tenants()
        except NotFound as error:
            raise CommandError(str(error)) from error
        if not chosen:
            self.stdout.write("No tenant has documents or facts.")
        for one in chosen:
            for line in _status(one) if status else [_stopped(one) if cancel else _started(one)]:
                self.stdout.write(line)


def _status(tenant: Tenant) -> list[str]:
    first, *others = reembedding.status(tenant).sentences
    return [first, *(f"  {line}" for line in others)]


def _started(tenant: Tenant) -> str:
    try:
        task = reembedding.start(tenant.pk)
    except InvalidInput as error:
        raise CommandError(str(error)) from error
    return f"{tenant.slug}: task {task} has been started." if task else f"{tenant.slug}: it runs already."


def _stopped(tenant: Tenant) -> str:
    task = reembedding.stop(tenant.pk)
    return f"{tenant.slug}: task {task} is cancelled." if task else f"{tenant.slug}: nothing runs."
