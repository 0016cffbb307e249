"""Retention rules: how long tasks are kept, what a rule would delete now, and what was deleted."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied as Forbidden
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from agentapp import registry
from agentapp.admin import form
from agentapp.admin import gates as gate_pages
from agentapp.admin.base import REFUSALS, model_page, principal_of, visible_tenants
from agentapp.admin.form_pages import FormAdmin
from agentapp.errors import InvalidInput, NotFound
from agentapp.lifecycle.retention import target
from agentapp.models import RetentionRule
from agentapp.models.retention import RETAINED
from agentapp.policies.counting import count
from agentapp.services import dispatchers, retention_preview, retention_rules
from agentapp.services.retention_preview import MOST_COUNTED, Preview

_TYPED = ("tenant", "kind", "state", "days", "reason")


@admin.register(RetentionRule)
class RetentionRuleAdmin(FormAdmin):
    """Operators see the rules of their tenants and those for all; administrators change those of their tenants."""

    read_scope = retention_rules.READ
    detail_template = "agentapp/retention_rule.html"
    change_list_template = "agentapp/retention_rules.html"
    list_display = ("applies_to", "state", "kept_for", "would_delete", "kept_by_hold", "note")
    list_filter = ("state",)
    search_fields = ("kind", "tenant__slug", "note")
    ordering = ("tenant__slug", "kind", "state")
    list_per_page = 25

    def get_queryset(self, request: HttpRequest) -> QuerySet[RetentionRule]:
        if not self.has_view_permission(request):
            return RetentionRule.objects.none()
        return retention_rules.listing(principal_of(request))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return retention_rules.WRITE in principal_of(request).scopes

    @admin.display(description="tasks", ordering="kind")
    def applies_to(self, rule: RetentionRule) -> SafeString:
        shown = rule.only_kind or "all kinds"
        return format_html("{}<span class='reference'>{}</span>", shown, rule.tenant or "all tenants")

    @admin.display(description="kept for", ordering="days")
    def kept_for(self, rule: RetentionRule) -> str:
        return _days(rule.days)

    @admin.display(description="would go now")
    def would_delete(self, rule: Any) -> str:
        return _counted(rule.preview.due)

    @admin.display(description="kept by a hold")
    def kept_by_hold(self, rule: Any) -> str:
        return _counted(rule.preview.kept)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        found = super().get_changelist_instance(request)
        terms = retention_preview.terms(principal_of(request))
        of_rules = {term.rule.pk: term for term in terms if term.rule}
        # One that is gone between the two questions is shown no more.
        found.result_list = [rule for rule in found.result_list if rule.pk in of_rules]
        shown = [*(of_rules[rule.pk] for rule in found.result_list), *(term for term in terms if not term.rule)]
        counted = list(retention_preview.previews(principal_of(request), shown))
        for rule, preview in zip(found.result_list, counted, strict=False):
            rule.preview = preview
        found.settings = [
            (term.state.value, _days(term.days), _counted(preview.due), _counted(preview.kept))
            for term, preview in zip(shown, counted, strict=True) if not term.rule
        ]  # fmt: skip
        return found

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise Forbidden
        shown = {
            "pruned": retention_preview.pruned(principal_of(request)),
            "pruned_days": retention_preview.SHOWN_DAYS,
            "trouble": dispatchers.health().sentences,
        }
        return super().changelist_view(request, shown | (extra_context or {}))

    def fresh(self, request: HttpRequest) -> RetentionRule:
        return RetentionRule(days=0)

    def shown(self, record: RetentionRule) -> dict[str, str]:
        return {"days": str(record.days), "reason": record.note}

    def save(self, request: HttpRequest, record: RetentionRule) -> HttpResponse:
        return self.act(request, record)

    def page(self, request: HttpRequest, record: RetentionRule, *, status: int = 200, **typed: Any) -> HttpResponse:
        """The form, with what was typed and what is wrong with it when the service refused it."""
        principal = principal_of(request)
        context = self.page_context(request, f"Retention of {record}" if record.pk else "Add retention rule") | {
            "original": record if record.pk else None,
            "as_read": typed.get("as_read"),
            "typed": typed.get("entered") or {"days": record.days if record.pk else "", "reason": record.note},
            "errors": typed.get("errors") or {},
            "preview": typed.get("preview"),
            "can_write": retention_rules.may_write(principal, record.tenant_id) or not record.pk,
            "most_days": retention_rules.MOST_DAYS,
        }
        context |= self._shown(request, record) if record.pk else _choices(request)
        return TemplateResponse(request, self.detail_template, context, status=status)

    def act(self, request: HttpRequest, record: RetentionRule) -> HttpResponse:
        entered = form.typed(request.POST, _TYPED)
        action, principal, as_read = request.POST.get("action"), principal_of(request), form.as_read(request.POST)
        try:
            rule = record if record.pk else _drafted(request, entered)
            if action == "delete":
                retention_rules.remove(rule, reason=entered["reason"], by=principal, as_read=as_read)
                messages.success(request, f"The rule for {rule} is gone. The next one that fits holds in its place.")
                return redirect(model_page(RetentionRule, "changelist"))
            if action == "preview":
                return self._preview(request, record, rule, entered)
            kept = retention_rules.save(
                rule, days=entered["days"], reason=entered["reason"], by=principal, as_read=as_read
            )
        except NotFound as error:
            # Removed by somebody else, or by the first of two presses.
            messages.info(request, str(error))
            return redirect(model_page(RetentionRule, "changelist"))
        except REFUSALS as error:
            if action == "delete":
                # The form that removes a rule has no days.
                entered["days"] = str(record.days)
            return self.not_saved(request, record, error, entered)
        messages.success(request, f"Saved: {kept} is kept {_kept(kept.days)}, from the dispatcher's next look on.")
        return redirect(model_page(RetentionRule, "change"), kept.pk)

    def _preview(
        self, request: HttpRequest, record: RetentionRule, rule: RetentionRule, entered: dict[str, str]
    ) -> HttpResponse:
        """What it would delete with these days; nothing is saved."""
        principal = principal_of(request)
        retention_rules.actor_of(principal, rule.tenant_id)
        retention_rules.check(rule, entered["days"])
        (found,) = retention_preview.previews(principal, [retention_preview.term_of(principal, rule)])
        words, seen = _words(found, rule.days), form.seen(request.POST)
        return self.page(request, record, entered=entered, preview=words, as_read=seen)

    def _shown(self, request: HttpRequest, record: RetentionRule) -> dict[str, Any]:
        """What stands beside the form of a rule that there is."""
        principal = principal_of(request)
        # Of one that somebody has removed meanwhile, as it was.
        kept = RetentionRule.objects.select_related("tenant").filter(pk=record.pk).first() or record
        term = retention_preview.term_of(principal, kept)
        (found,) = retention_preview.previews(principal, [term])
        return {
            "now": _words(found, kept.days),
            "before": [(rule, _days(rule.days)) for rule in term.before],
            "changes": gate_pages.changes_of(target(record)),
        }


def _drafted(request: HttpRequest, entered: dict[str, str]) -> RetentionRule:
    slug = entered["tenant"]
    tenant = visible_tenants(request, scope=retention_rules.WRITE).filter(slug=slug).first() if slug else None
    if tenant is None and (slug or not retention_rules.may_write(principal_of(request), None)):
        raise InvalidInput.at("tenant", "Choose one of the tenants in the list.")
    return retention_rules.draft(tenant=tenant, kind=entered["kind"], state=entered["state"])


def _choices(request: HttpRequest) -> dict[str, Any]:
    return {
        "tenants": visible_tenants(request, scope=retention_rules.WRITE),
        "may_mean_all": retention_rules.may_write(principal_of(request), None),
        "kinds": registry.kinds(),
        "states": [state.value for state in RETAINED],
    }


def _days(days: int) -> str:
    return count(days, "day") if days else "forever"


def _kept(days: int) -> str:
    return f"for {_days(days)}" if days else "forever"


def _counted(number: int | None) -> str:
    if number is None:
        return "not counted in time"
    return f"{MOST_COUNTED:,}+" if number > MOST_COUNTED else f"{number:,}"


def _words(preview: Preview, days: int) -> str:
    """What a rule would delete, in a sentence or two."""
    if not days:
        return "It deletes nothing: these tasks are kept forever."
    held = f" A legal hold keeps {_counted(preview.kept)} more." if preview.kept != 0 else ""
    return f"Tasks that would be deleted now: {_counted(preview.due)}.{held}"
