"""Delete everything that the local stack keeps."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from agentapp.local.home import forget
from agentapp.local.problem import StackProblem


class Command(BaseCommand):
    help = "Delete everything that the local stack keeps: database, artifacts, mails, logs, credentials."
    requires_system_checks = []

    def handle(self, **options: Any) -> None:
        try:
            gone = forget(settings.AGENTAPP_HOME)
        except StackProblem as error:
            raise CommandError(str(error)) from error
        what = ", ".join(gone) if gone else "nothing; no stack has run here"
        self.stdout.write(f"Forgotten under {settings.AGENTAPP_HOME}: {what}.")
