"""Gates: the rules of how much runs at once and how fast, made and changed by superusers; and who changed what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import quote
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from agentapp.admin import actors, cells, gate_form
from agentapp.admin.base import TextFilter, model_page, principal_of
from agentapp.admin.form_pages import PlatformFormAdmin
from agentapp.admin.platform import PlatformAdmin
from agentapp.lifecycle.gates import target
from agentapp.models import Gate, GateChange, Limit
from agentapp.services import gates

_SHOWN_KEYS = 50
_SHOWN_CHANGES = 5
_TONES = {
    "created": "good", "changed": "active", "deleted": "quiet", "paused": "bad", "draining": "person",
    "resumed": "good", "breaker open": "bad", "breaker half_open": "person", "breaker closed": "good",
    "slowed": "person",
}  # fmt: skip


@admin.register(Gate)
class GateAdmin(PlatformFormAdmin):
    """Rules. What they come to for each key stands on the page of limits."""

    service = gates
    layout = gate_form
    detail_template = "agentapp/gate.html"
    list_display = ("rule", "counted_by", "at_once", "pace", "tokens", "may_wait", "a_day", "note")
    list_filter = ("scope", ("tier", TextFilter))
    search_fields = ("pattern", "tier", "note")
    ordering = ("scope", "pattern", "tier")

    @admin.display(description="gate", ordering="pattern")
    def rule(self, gate: Gate) -> SafeString:
        tier = f"tier {gate.tier}" if gate.tier else ""
        return format_html("{}<span class='reference'>{}</span>", gate.pattern, tier)

    @admin.display(description="count by", ordering="scope")
    def counted_by(self, gate: Gate) -> str:
        return cells.SCOPES[gate.scope]

    @admin.display(description="at once", ordering="concurrency", empty_value="-")
    def at_once(self, gate: Gate) -> str | None:
        if gate.concurrency is None:
            return None
        return f"{gate.concurrency:,}" + (f", {gate.reserved:,} for urgent" if gate.reserved else "")

    @admin.display(description="a minute", ordering="requests_per_min", empty_value="-")
    def pace(self, gate: Gate) -> str | None:
        return None if gate.requests_per_min is None else cells.amount(gate.requests_per_min)

    @admin.display(description="tokens a minute", ordering="tokens_per_min", empty_value="-")
    def tokens(self, gate: Gate) -> str | None:
        return None if gate.tokens_per_min is None else cells.amount(gate.tokens_per_min)

    @admin.display(description="may wait", ordering="max_waiting", empty_value="-")
    def may_wait(self, gate: Gate) -> str | None:
        return None if gate.max_waiting is None else f"{gate.max_waiting:,}"

    @admin.display(description="a day", empty_value="-")
    def a_day(self, gate: Gate) -> str | None:
        return per_day(gate)

    def fresh(self, request: HttpRequest) -> Gate:
        return Gate(scope=request.GET.get("scope", "job_type"), pattern=request.GET.get("pattern", "*"))

    def context(self, request: HttpRequest, record: Gate) -> dict[str, Any]:
        keys = Limit.objects.filter(gate=record.pk).order_by("key") if record.pk else Limit.objects.none()
        running = gates.running(principal_of(request))
        return {
            "title": f"Gate of {_name(record)}" if record.pk else "Add gate",
            "keys": [(limit, cells.share(running[limit.key], limit.concurrency)) for limit in keys[:_SHOWN_KEYS]],
            "keys_in_all": keys.count(),
            "changes": changes_of(target(record)) if record.pk else [],
        }

    def saved(self, request: HttpRequest, record: Gate) -> None:
        messages.success(request, f"Saved: the gate of {_name(record)} holds from the next claim on.")
        if gates.fits_nothing(record):
            messages.warning(request, "Nothing that is known so far fits it: look whether the name is right.")

    def deleted(self, record: Gate) -> str:
        return f"The gate of {_name(record)} is gone. The next one that fits holds in its place."


def per_day(rule: Gate | Limit) -> str | None:
    """What models may use in a day, in words."""
    tokens = f"{rule.tokens_per_day:,} tokens" if rule.tokens_per_day is not None else ""
    money = f"${rule.cost_usd_per_day:,.2f}" if rule.cost_usd_per_day is not None else ""
    return ", ".join(filter(None, (tokens, money))) or None


def _name(gate: Gate) -> str:
    return cells.key(gate.scope, gate.pattern) + (f", tier {gate.tier}" if gate.tier else "")


@admin.register(GateChange)
class GateChangeAdmin(PlatformAdmin):
    """Who changed, paused or resumed what, and which rule opened a breaker."""

    detail_template = "agentapp/gate_change.html"
    list_display = ("when", "action_badge", "of", "by", "reason", "difference")
    list_filter = ("action",)
    search_fields = ("target", "actor", "reason")
    ordering = ("-id",)

    @admin.display(description="when", ordering="id")
    def when(self, change: GateChange) -> SafeString:
        return cells.when(change.at)

    @admin.display(description="what", ordering="action")
    def action_badge(self, change: GateChange) -> SafeString:
        return cells.badge(change.action, _TONES.get(change.action, ""))

    @admin.display(description="of", ordering="target")
    def of(self, change: Any) -> str:
        return str(change.about)

    @admin.display(description="by", ordering="actor")
    def by(self, change: Any) -> str:
        return str(change.who)

    @admin.display(description="change")
    def difference(self, change: Any) -> str:
        steps = (
            f"{name} {was} → {now}" if was and now else f"{name} {was or now}" for name, was, now in change.differences
        )
        return cells.headline(", ".join(steps), limit=120)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        found = super().get_changelist_instance(request)
        found.result_list = named(found.result_list)
        return found

    def context(self, request: HttpRequest, record: GateChange) -> dict[str, Any]:
        (shown,) = named([record])
        limit = Limit.objects.filter(key=record.target).first()
        return {
            "title": f"{capfirst(shown.about)}: {record.action.replace('_', ' ')}",  # type: ignore[attr-defined]
            "action": self.action_badge(record),
            "limit_url": reverse(model_page(Limit, "change"), args=(quote(limit.pk),)) if limit else "",
        }


def changes_of(target: str) -> list[GateChange]:
    """The last changes of a record, as its page lists them."""
    return named(GateChange.objects.filter(target=target)[:_SHOWN_CHANGES])


def named(changes: Iterable[GateChange]) -> list[GateChange]:
    """Give each change `about` (in words, a tenant by its slug), `differences`, and `who` made it."""
    rows = list(changes)
    keys = [row.target for row in rows if row.target.startswith("tenant:")]
    slugs = dict(Limit.objects.filter(key__in=keys).values_list("key", "name"))
    actors.give_names(rows)
    for row in rows:
        row.about = _words(row.target, slugs)  # type: ignore[attr-defined]
        row.differences = differences(row)  # type: ignore[attr-defined]
    return rows


def _words(target: str, slugs: Mapping[str, str]) -> str:
    if target.startswith("gate "):
        scope, _, pattern = target.removeprefix("gate ").partition(" ")
        return f"gate of {cells.key(scope, pattern)}"
    if target.startswith("model choice "):
        return target
    scope, _, name = target.partition(":")
    return cells.key(scope, slugs.get(target, name))


def differences(change: GateChange) -> list[tuple[str, str, str]]:
    """What became of which value: (name, before, after), "" for what was not there."""
    before, after = change.before or {}, change.after or {}
    if change.after is None:
        return [(name, _word(was), "") for name, was in before.items() if was]
    return [
        (name.replace("_", " "), _word(before[name]) if name in before else "", _word(now))
        for name, now in after.items()
        if (before[name] != now if name in before else now)
    ]


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value in (None, "") else str(value)
