"""Approval policies: who decides on which approvals, made and changed by superusers."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from agentapp.admin import approval_policy_form
from agentapp.admin import gates as gate_pages
from agentapp.admin.form_pages import PlatformFormAdmin
from agentapp.lifecycle.approval_policies import target
from agentapp.models import ApprovalPolicy
from agentapp.services import approval_policies, electorates


@admin.register(ApprovalPolicy)
class ApprovalPolicyAdmin(PlatformFormAdmin):
    """What a policy has asked keeps the rules that it had then."""

    read_scope: ClassVar[str] = approval_policies.READ
    write_scope: ClassVar[str] = approval_policies.WRITE
    service = approval_policies
    layout = approval_policy_form
    detail_template = "agentapp/approval_policy.html"
    list_display = ("name", "applies_to", "decided_by", "four_eyes", "quorum", "sample_percent", "note")
    list_select_related = ("tenant",)
    search_fields = ("name", "tenant__slug", "kind", "note")
    ordering = ("tenant__slug", "kind", "id")

    @admin.display(description="applies to", ordering="tenant__slug")
    def applies_to(self, policy: ApprovalPolicy) -> SafeString:
        asked = f"{policy.kind or 'all workflow kinds'}, {policy.get_content_kind_display() or 'all content'}"
        return format_html("{}<span class='reference'>{}</span>", policy.tenant or "all tenants", asked)

    @admin.display(description="decided by")
    def decided_by(self, policy: ApprovalPolicy) -> str:
        return ", ".join(policy.approvers) or "all who have the right to"

    def context(self, request: HttpRequest, record: ApprovalPolicy) -> dict[str, Any]:
        return {
            "title": f"Approval policy {record}" if record.pk else "Add approval policy",
            "changes": gate_pages.changes_of(target(record)) if record.pk else [],
        }

    def saved(self, request: HttpRequest, record: ApprovalPolicy) -> None:
        for warning in filter(None, (electorates.warning(record), electorates.without_links(record))):
            messages.warning(request, warning)
        messages.success(request, f"Saved: the approval policy {record} holds for what is asked from now on.")

    def deleted(self, record: ApprovalPolicy) -> str:
        return f"The approval policy {record} is gone. What it has asked keeps its rules."
