"""Gates: the rules of how much runs at once and how fast, made and changed by superusers; and who changed what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import quote
from django.core.exceptions import PermissionDenied as Forbidden
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from agentapp.admin import actors, cells, form, gate_form
from agentapp.admin.base import REFUSALS, TextFilter, model_page, principal_of, refuse
from agentapp.admin.platform import PlatformAdmin
from agentapp.errors import IllegalMove, InvalidInput
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
class GateAdmin(PlatformAdmin):
    """Rules. What they come to for each key stands on the page of limits."""

    detail_template = "agentapp/gate.html"
    list_display = ("rule", "counted_by", "at_once", "pace", "tokens", "may_wait", "a_day", "note")
    list_filter = ("scope", ("tier", TextFilter))
    search_fields = ("pattern", "tier", "note")
    ordering = ("scope", "pattern", "tier")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.has_write_permission(request)

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

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_add_permission(request):
            raise Forbidden
        fresh = Gate(scope=request.GET.get("scope", "job_type"), pattern=request.GET.get("pattern", "*"))
        return self._save(request, fresh) if request.method == "POST" else self.page(request, fresh)

    def page(self, request: HttpRequest, record: Gate, *, status: int = 200, **typed: Any) -> HttpResponse:
        """The form, with what was typed and what is wrong with it when the service refused it."""
        entered, errors = typed.get("entered") or gate_form.of_gate(record), typed.get("errors") or {}
        keys = Limit.objects.filter(gate=record.pk).order_by("key") if record.pk else Limit.objects.none()
        running = gates.running(principal_of(request))
        context = self.page_context(request, f"Gate of {_name(record)}" if record.pk else "Add gate") | {
            "original": record if record.pk else None,
            "as_read": typed.get("as_read"),
            "groups": gate_form.groups(entered, errors),
            "wrong": [(name, message) for name, message in errors.items() if name not in gate_form.NAMES],
            "is_wrong": bool(errors),
            "keys": [(limit, cells.share(running[limit.key], limit.concurrency)) for limit in keys[:_SHOWN_KEYS]],
            "keys_in_all": keys.count(),
            "changes": named(GateChange.objects.filter(target=f"gate {record}")[:_SHOWN_CHANGES]) if record.pk else [],
            "can_write": self.has_write_permission(request),
        }
        return TemplateResponse(request, self.detail_template, context, status=status)

    def act(self, request: HttpRequest, record: Gate) -> HttpResponse:
        if request.POST.get("action") != "delete":
            return self._save(request, record)
        try:
            reason, as_read = request.POST.get("reason", ""), form.as_read(request.POST)
            gates.delete(principal_of(request), record, reason=reason, as_read=as_read)
        except REFUSALS as error:
            return self.page(request, record, status=refuse(request, error))
        messages.success(request, f"The gate of {_name(record)} is gone. The next one that fits holds in its place.")
        return redirect(model_page(Gate, "changelist"))

    def _save(self, request: HttpRequest, gate: Gate) -> HttpResponse:
        entered, as_read = gate_form.typed(request.POST), form.as_read(request.POST)
        values = gate_form.values(entered)
        try:
            saved = gates.save(principal_of(request), gate, values, reason=entered["reason"], as_read=as_read)
        except InvalidInput as error:
            errors = {item["field"]: item["message"] for item in error.errors}
            messages.error(request, "Nothing was saved. Correct what is marked.")
            seen = form.seen(request.POST)
            return self.page(request, gate, status=422, entered=entered, errors=errors, as_read=seen)
        except IllegalMove as error:
            gate = Gate.objects.filter(pk=gate.pk).first() or gate
            errors = form.saved_meanwhile(entered, gate_form.of_gate(gate))
            return self.page(request, gate, status=refuse(request, error), entered=entered, errors=errors)
        except REFUSALS as error:
            return self.page(request, gate, status=refuse(request, error), entered=entered)
        messages.success(request, f"Saved: the gate of {_name(saved)} holds from the next claim on.")
        if gates.fits_nothing(saved):
            messages.warning(request, "Nothing that is known so far fits it: look whether the name is right.")
        return redirect(model_page(Gate, "change"), saved.pk)


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
