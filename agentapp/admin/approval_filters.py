"""The filters of the list of approvals."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from agentapp.admin.base import principal_of
from agentapp.lifecycle import database
from agentapp.models import Approval
from agentapp.services import assignments

DUE_WITHIN = timedelta(hours=1)
MOST_KINDS = 100


class KindFilter(admin.SimpleListFilter):
    """By the kind of the task, offering those of which there are approvals that wait."""

    title = "kind"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        waiting = model_admin.get_queryset(request).filter(state="pending").order_by("workflow__kind")
        kinds = waiting.values_list("workflow__kind", flat=True).distinct()[:MOST_KINDS]
        return [(kind, kind) for kind in kinds]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Approval]) -> QuerySet[Approval]:
        return queryset.filter(workflow__kind=self.value()) if self.value() else queryset


class ClaimFilter(admin.SimpleListFilter):
    """By who looks after it."""

    title = "claim"
    parameter_name = "claim"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("me", "mine"), ("nobody", "nobody's"), ("anybody", "claimed")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Approval]) -> QuerySet[Approval]:
        match self.value():
            case "me" | "nobody" | "anybody" as whom:
                return assignments.assigned_to(queryset.filter(state="pending"), principal_of(request), whom)
        return queryset


class SnoozedFilter(admin.SimpleListFilter):
    """What is snoozed is left out unless it is asked for."""

    title = "snoozed"
    parameter_name = "snoozed"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("only", "only those"), ("too", "those too")]

    def choices(self, changelist: Any) -> Iterator[Any]:
        """What stands for no choice hides them."""
        for number, choice in enumerate(super().choices(changelist)):
            yield choice if number else {**choice, "display": "hidden"}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Approval]) -> QuerySet[Approval]:
        match self.value():
            case "only":
                return assignments.snoozed(queryset)
            case "too":
                return queryset
        return assignments.not_snoozed(queryset)


class OverdueFilter(admin.SimpleListFilter):
    """What was escalated, or expires within the hour."""

    title = "time"
    parameter_name = "time"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("overdue", "escalated, or expires within the hour")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Approval]) -> QuerySet[Approval]:
        if self.value() != "overdue":
            return queryset
        soon = Q(expires_at__lte=database.moment() + DUE_WITHIN)
        return queryset.filter(Q(escalated_at__isnull=False) | soon, state="pending")
