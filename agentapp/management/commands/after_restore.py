"""Take in a database that was restored from a backup."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from agentapp import checks
from agentapp.errors import IllegalMove, Unavailable
from agentapp.services import restoring

ACTOR = "after_restore"
SHOWN = 20


class Command(BaseCommand):
    requires_system_checks = checks.OF_COMMANDS
    help = (
        "On a database that was restored from a backup, before any process starts: put in doubt what may have been "
        "sent since the backup, take claims and leads away from processes of before, and let jobs be published again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check-files", action="store_true", help="also look for artifacts whose file is missing")

        parser.add_argument(
            "--nothing-was-sent",
            action="store_true",
            help="all processes were stopped before the backup was made, as for a move to another server: nothing "
            "is in doubt",
        )

    def handle(self, *args: Any, check_files: bool, nothing_was_sent: bool, **options: Any) -> None:
        try:
            restoring.take_in(actor=ACTOR, is_whole=nothing_was_sent, say=self._say)
            missing = restoring.missing_files() if check_files else []
        except IllegalMove as error:
            raise CommandError(str(error)) from error
        except (Unavailable, OSError) as error:
            raise CommandError(f"It is not finished: {error} Run the command again.") from error
        if check_files:
            self._say(f"{len(missing)} artifacts have no file.")
            for name in missing[:SHOWN]:
                self._say(f"  {name}")
        self._say("The database is taken in: processes may start.")

    def _say(self, sentence: str) -> None:
        self.stdout.write(sentence)
        self.stdout.flush()
