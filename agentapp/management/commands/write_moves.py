"""Write the copy of the state moves that the migration of this release installs."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from agentapp.lifecycle import function_set


class Command(BaseCommand):
    help = "Write the frozen copy of the SQL functions in agentapp/lifecycle/sql/. A released copy must not change."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        function_set.FROZEN.write_text(function_set.text())
        self.stdout.write(f"wrote {function_set.FROZEN.name}")
