"""Approval policies: who decides on which approvals, made and changed by superusers."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied as Forbidden
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from agentapp.admin import approval_policy_form, form
from agentapp.admin import gates as gate_pages
from agentapp.admin.base import REFUSALS, model_page, principal_of, refuse
from agentapp.admin.platform import PlatformAdmin
from agentapp.errors import IllegalMove, InvalidInput
from agentapp.lifecycle.approval_policies import target
from agentapp.models import ApprovalPolicy, GateChange
from agentapp.services import approval_policies, electorates

_SHOWN_CHANGES = 5


@admin.register(ApprovalPolicy)
class ApprovalPolicyAdmin(PlatformAdmin):
    """What a policy has asked keeps the rules that it had then."""

    read_scope: ClassVar[str] = approval_policies.READ
    write_scope: ClassVar[str] = approval_policies.WRITE
    detail_template = "agentapp/approval_policy.html"
    list_display = ("name", "applies_to", "decided_by", "four_eyes", "quorum", "sample_percent", "note")
    list_select_related = ("tenant",)
    search_fields = ("name", "tenant__slug", "kind", "note")
    ordering = ("tenant__slug", "kind", "id")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.has_write_permission(request)

    @admin.display(description="applies to", ordering="tenant__slug")
    def applies_to(self, policy: ApprovalPolicy) -> SafeString:
        asked = f"{policy.kind or 'all workflow kinds'}, {policy.get_content_kind_display() or 'all content'}"
        return format_html("{}<span class='reference'>{}</span>", policy.tenant or "all tenants", asked)

    @admin.display(description="decided by")
    def decided_by(self, policy: ApprovalPolicy) -> str:
        return ", ".join(policy.approvers) or "all who have the right to"

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_add_permission(request):
            raise Forbidden
        fresh = ApprovalPolicy()
        return self._save(request, fresh) if request.method == "POST" else self.page(request, fresh)

    def page(self, request: HttpRequest, record: ApprovalPolicy, *, status: int = 200, **typed: Any) -> HttpResponse:
        """The form, with what was typed and what is wrong with it when the service refused it."""
        entered, errors = typed.get("entered") or approval_policy_form.of_policy(record), typed.get("errors") or {}
        changes = GateChange.objects.filter(target=target(record))[:_SHOWN_CHANGES] if record.pk else []
        title = f"Approval policy {record}" if record.pk else "Add approval policy"
        context = self.page_context(request, title) | {
            "original": record if record.pk else None,
            "as_read": typed.get("as_read"),
            "groups": approval_policy_form.groups(entered, errors),
            "wrong": [(name, message) for name, message in errors.items() if name not in approval_policy_form.NAMES],
            "changes": gate_pages.named(changes),
            "can_write": self.has_write_permission(request),
        }
        return TemplateResponse(request, self.detail_template, context, status=status)

    def act(self, request: HttpRequest, record: ApprovalPolicy) -> HttpResponse:
        if request.POST.get("action") != "delete":
            return self._save(request, record)
        try:
            reason, as_read = request.POST.get("reason", ""), form.as_read(request.POST)
            approval_policies.delete(principal_of(request), record, reason=reason, as_read=as_read)
        except REFUSALS as error:
            return self.page(request, record, status=refuse(request, error))
        messages.success(request, f"The approval policy {record} is gone. What it has asked keeps its rules.")
        return redirect(model_page(ApprovalPolicy, "changelist"))

    def _save(self, request: HttpRequest, policy: ApprovalPolicy) -> HttpResponse:
        entered, as_read = approval_policy_form.typed(request.POST), form.as_read(request.POST)
        values = approval_policy_form.values(entered)
        try:
            saved = approval_policies.save(
                principal_of(request), policy, values, reason=entered["reason"], as_read=as_read
            )
        except InvalidInput as error:
            errors = {item["field"]: item["message"] for item in error.errors}
            messages.error(request, "Nothing was saved. Correct what is marked.")
            seen = form.seen(request.POST)
            return self.page(request, policy, status=422, entered=entered, errors=errors, as_read=seen)
        except IllegalMove as error:
            policy = ApprovalPolicy.objects.filter(pk=policy.pk).first() or policy
            errors = form.saved_meanwhile(entered, approval_policy_form.of_policy(policy))
            return self.page(request, policy, status=refuse(request, error), entered=entered, errors=errors)
        except REFUSALS as error:
            return self.page(request, policy, status=refuse(request, error), entered=entered)
        for warning in filter(None, (electorates.warning(saved), electorates.without_links(saved))):
            messages.warning(request, warning)
        messages.success(request, f"Saved: the approval policy {saved} holds for what is asked from now on.")
        return redirect(model_page(ApprovalPolicy, "change"), saved.pk)
