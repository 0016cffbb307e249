"""What the drills of this installation have found."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from agentapp.admin import cells
from agentapp.admin.base import ReadOnlyAdmin, principal_of
from agentapp.models import DrillReport

TONES = {"green": "good", "red": "bad", "not available": "waiting", "skipped": "quiet"}


@admin.register(DrillReport)
class DrillReportAdmin(ReadOnlyAdmin):
    """Reports of `manage.py drill`, newest first. They are about the installation, so superusers alone see them."""

    detail_template = "agentapp/drill_report.html"
    list_display = ("report", "outcome", "green", "red", "unanswered", "took")
    list_filter = ("passed",)
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[DrillReport]:
        """All of them: a report belongs to no tenant, and who may not see every tenant is not let in."""
        return DrillReport.objects.order_by("-id")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_view_permission(request, obj) and principal_of(request).tenant_ids is None

    @admin.display(description="drill", ordering="id")
    def report(self, report: DrillReport) -> SafeString:
        return cells.when(report.started_at)

    @admin.display(description="outcome", ordering="passed")
    def outcome(self, report: DrillReport) -> SafeString:
        return outcome(report)

    @admin.display(description="green")
    def green(self, report: DrillReport) -> int:
        return _count(report, "green")

    @admin.display(description="red")
    def red(self, report: DrillReport) -> int:
        return _count(report, "red")

    @admin.display(description="not available or skipped")
    def unanswered(self, report: DrillReport) -> int:
        return _count(report, "not available", "skipped")

    @admin.display(description="took")
    def took(self, report: DrillReport) -> str:
        return cells.duration((report.finished_at - report.started_at).total_seconds())

    def context(self, request: HttpRequest, record: DrillReport) -> dict[str, Any]:
        answers = [
            item | {"badge": cells.badge(item["verdict"], TONES.get(item["verdict"], "quiet"))}
            for item in record.answers
        ]
        return {"title": f"Drill of {cells.exact(record.started_at)}", "answers": answers,
                "outcome": outcome(record)}  # fmt: skip


def outcome(report: DrillReport) -> SafeString:
    return cells.badge("passed", "good") if report.passed else cells.badge("failed", "bad")


def _count(report: DrillReport, *verdicts: str) -> int:
    counted = Counter(item["verdict"] for item in report.answers)
    return sum(counted[verdict] for verdict in verdicts)
