"""Limits: every key with what it is held to and what it does, stopped and resumed by superusers."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.contrib.admin.utils import quote
from django.db.models import Case, QuerySet, Value, When
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from agentapp import clock
from agentapp.admin import cells
from agentapp.admin.base import REFUSALS, model_page, principal_of, refuse
from agentapp.admin.gates import named, per_day
from agentapp.admin.platform import PlatformAdmin
from agentapp.errors import InvalidInput
from agentapp.models import Gate, GateChange, Limit
from agentapp.services import gates, validation
from agentapp.services.principals import Principal
from agentapp.states import BreakerState, KeyMode

_MODES = {"pause": KeyMode.PAUSED, "drain": KeyMode.DRAINING, "resume": KeyMode.OPEN}
_DONE = {
    "pause": "Paused: no job starts, and running jobs finish.",
    "drain": "Draining: only tasks that have started continue.",
    "resume": "Resumed: jobs start again.",
}
_SHOWN_CHANGES = 10
# Of the others nobody counts what waits: their jobs stand in the backlog of a queue.
_MEASURED = ("global", "tenant", "queue")


class ReasonForm(ActionForm):
    """The actions of the list, with the reason that stopping a key needs."""

    reason = forms.CharField(label="Reason", required=False, max_length=validation.LONGEST_REASON)


def page_of_key(key: str) -> str:
    """The address of a key's page."""
    return reverse(model_page(Limit, "change"), args=(quote(key),))


def set_mode(principal: Principal, scope: str, name: str, action: str, *, reason: str) -> str:
    """Pause, drain or resume a key as a button says, and return what to tell the person. Raises as gates.set_mode, and
    InvalidInput where there is no such button."""
    if action not in _MODES:
        raise InvalidInput("Choose one of the buttons: pause, drain, resume.")
    gates.set_mode(principal, scope, name, _MODES[action], reason=reason)
    return _DONE[action]


@admin.register(Limit)
class LimitAdmin(PlatformAdmin):
    """What is stopped comes first."""

    detail_template = "agentapp/limit.html"
    list_display = ("named", "state", "share", "pace", "waits", "rate", "rule")
    list_filter = ("scope", "mode", "breaker")
    list_select_related = ("gate",)
    search_fields = ("name", "mode_reason")
    ordering = (
        Case(When(mode=KeyMode.OPEN, breaker=BreakerState.CLOSED, then=Value(1)), default=Value(0)), "scope", "name",
    )  # fmt: skip
    actions = ("pause", "drain", "resume")
    action_form = ReasonForm

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        found = super().get_changelist_instance(request)
        running = gates.running(principal_of(request))
        for limit in found.result_list:
            limit.running = running[limit.key]
        return found

    @admin.display(description="key", ordering="name")
    def named(self, limit: Limit) -> SafeString:
        name = cells.key("global", "") if limit.scope == "global" else limit.name
        scope = limit.scope.replace("_", " ")
        return format_html("{}<span class='reference'>{}</span>", cells.breakable(name), scope)

    @admin.display(description="state", ordering="mode")
    def state(self, limit: Limit) -> SafeString:
        return badges(limit)

    @admin.display(description="running")
    def share(self, limit: Any) -> SafeString:
        return cells.share(limit.running, most_of(limit))

    @admin.display(description="rate", empty_value="-")
    def pace(self, limit: Limit) -> SafeString | None:
        return format_html_join("", '<span class="line">{}</span>', ((words,) for words, _ in pace_of(limit))) or None

    @admin.display(description="waiting", ordering="waiting", empty_value="-")
    def waits(self, limit: Limit) -> SafeString | None:
        if limit.scope not in _MEASURED:
            return None
        oldest = f"oldest {cells.age(limit.oldest_at)}" if limit.oldest_at else ""
        return format_html("{}<span class='reference'>{}</span>", f"{limit.waiting:,}", oldest)

    @admin.display(description="started/s", ordering="per_s", empty_value="-")
    def rate(self, limit: Limit) -> str | None:
        return cells.amount(round(limit.per_s, 2)) if limit.per_s or limit.scope in _MEASURED else None

    @admin.display(description="gate", empty_value="-")
    def rule(self, limit: Limit) -> SafeString | None:
        if limit.gate is None:
            return None
        url = reverse(model_page(Gate, "change"), args=(limit.gate.pk,))
        tier = f", {limit.gate.tier}" if limit.gate.tier else ""
        return format_html('<a href="{}">{}{}</a>', url, cells.breakable(limit.gate.pattern), tier)

    @admin.action(description="Pause: no job starts", permissions=["write"])
    def pause(self, request: HttpRequest, queryset: QuerySet[Limit]) -> None:
        self._move_all(request, queryset, "pause")

    @admin.action(description="Drain: only started tasks continue", permissions=["write"])
    def drain(self, request: HttpRequest, queryset: QuerySet[Limit]) -> None:
        self._move_all(request, queryset, "drain")

    @admin.action(description="Resume", permissions=["write"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Limit]) -> None:
        self._move_all(request, queryset, "resume")

    def _move_all(self, request: HttpRequest, queryset: QuerySet[Limit], action: str) -> None:
        done = 0
        for limit in queryset:
            try:
                set_mode(principal_of(request), limit.scope, limit.name, action, reason=request.POST.get("reason", ""))
                done += 1
            except REFUSALS as error:
                messages.warning(request, f"{capfirst(cells.key(limit.scope, limit.name))}: {error}")
        if done:
            messages.success(request, f"{done} keys. {_DONE[action]}" if done > 1 else _DONE[action])

    def context(self, request: HttpRequest, record: Limit) -> dict[str, Any]:
        is_stopped = record.mode != KeyMode.OPEN
        is_slowed = record.breaker != BreakerState.CLOSED or record.slowdown > 1 or record.closed_until is not None
        running = gates.running(principal_of(request))
        return {
            "title": capfirst(cells.key(record.scope, record.name)),
            "state": badges(record),
            "share": cells.share(running[record.key], most_of(record)),
            "pace": [f"{words} ({burst:,} at once)" for words, burst in pace_of(record)],
            "per_day": per_day(record),
            "used": gates.used_today(principal_of(request)).get(record.key),
            "is_measured": record.scope in _MEASURED,
            "changes": named(GateChange.objects.filter(target=record.key)[:_SHOWN_CHANGES]),
            "can_write": self.has_write_permission(request),
            "can_pause": record.mode != KeyMode.PAUSED,
            "can_drain": record.mode != KeyMode.DRAINING,
            "can_resume": is_stopped or is_slowed,
            "is_stopped": is_stopped,
        }

    def act(self, request: HttpRequest, record: Limit) -> HttpResponse:
        """Pause, drain or resume; what was typed stays when it is refused."""
        action, reason = request.POST.get("action", ""), request.POST.get("reason", "")
        try:
            done = set_mode(principal_of(request), record.scope, record.name, action, reason=reason)
        except REFUSALS as error:
            status = refuse(request, error)
            record.refresh_from_db()
            return self.page(request, record, status=status, action=action, reason=reason)
        messages.success(request, done)
        return redirect(request.path)


def badges(limit: Limit) -> SafeString:
    """How a key stands: what people asked for, and what a provider or a run of failures did."""
    found: list[SafeString] = []
    if limit.mode != KeyMode.OPEN:
        found.append(cells.badge(limit.mode, "bad" if limit.mode == KeyMode.PAUSED else "person"))
    if limit.breaker != BreakerState.CLOSED:
        found.append(cells.badge(f"breaker {limit.breaker}", "bad" if limit.breaker == BreakerState.OPEN else "person"))
    elif limit.closed_until is not None and limit.closed_until > clock.now():
        found.append(cells.badge("used up" if limit.scope == "budget" else "asked to wait", "person"))
    if limit.slowdown > 1:
        found.append(cells.badge(f"{cells.amount(round(limit.slowdown, 2))} times slower", "person"))
    if limit.holds:
        found.append(cells.badge("jobs queue", "waiting"))
    return format_html_join(" ", "{}", ((badge,) for badge in found or [cells.badge("open", "good")]))


def most_of(limit: Limit) -> int | None:
    """How many may run at once: as the gate says, or of a queue as many as its workers have slots."""
    return limit.slots or None if limit.scope == "queue" else limit.concurrency


def pace_of(limit: Limit) -> list[tuple[str, int]]:
    """How fast it may go, in words, and how much of that at once."""
    found = []
    for seconds, burst, noun in (
        (limit.request_s, limit.request_burst, ""), (limit.token_s, limit.token_burst, " tokens"),
    ):  # fmt: skip
        if seconds:
            found.append((f"{cells.amount(round(60 / seconds, 4))}{noun}/min", burst))
    return found
