"""Write down all that is kept of a tenant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from agentapp import checks
from agentapp.errors import InvalidInput, NotFound
from agentapp.services import exporting, tenants


class Command(BaseCommand):
    requires_system_checks = checks.OF_COMMANDS
    help = "Write all rows of a tenant as JSON lines, its artifacts, and a manifest with counts; no secrets of keys."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", help="its short name")
        parser.add_argument("--to", required=True, type=Path, metavar="FOLDER", help="a new folder")

    def handle(self, *args: Any, slug: str, to: Path, **options: Any) -> None:
        try:
            manifest = exporting.tenant(tenants.get(slug), to)
        except (InvalidInput, NotFound) as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(f"It is not whole: {error}") from error
        rows = sum(table["rows"] for table in manifest["tables"].values())
        self.stdout.write(f"Wrote {rows:,} rows and {manifest['files']:,} files of {slug} to {to}.")
        if missing := manifest["missing_files"]:
            self.stdout.write(f"{len(missing)} artifacts have no file; {exporting.MANIFEST} names them.")
