"""Bulk cancellations: many tasks at once, begun over the API and watched here."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from agentapp.admin.bulk_operations import BulkOperationAdmin
from agentapp.models import BulkCancellation
from agentapp.services import cancellations


@admin.register(BulkCancellation)
class BulkCancellationAdmin(BulkOperationAdmin):
    """What goes on, and what became of earlier ones."""

    detail_template = "agentapp/bulk_cancellation.html"
    write_scope, abort = "tasks:write", cancellations.abort
    stopped = "Stopped: tasks that are cancelled stay so, the rest go on."
    list_display = ("tasks", "state_badge", "progress", "cancelled", "skipped", "failed", "tenant", "by", "started")

    @admin.display(description="tasks")
    def tasks(self, row: BulkCancellation) -> str:
        return ", ".join(f"{name} {_words(value)}" for name, value in row.selection["filter"].items())

    def context(self, request: HttpRequest, record: BulkCancellation) -> dict[str, Any]:
        return super().context(request, record) | {"title": "Bulk cancellation", "tasks": self.tasks(record)}


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}:{each}" for key, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
