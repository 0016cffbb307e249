"""Approvals: the inbox, and the page on which a person decides what leaves the platform."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import Case, DateTimeField, F, Value, When
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from agentapp.admin import approval_page, cells, deciding, evidence, queue_forms, undo
from agentapp.admin.base import REFUSALS, ReadOnlyAdmin, TenantFilter, principal_of, refuse
from agentapp.models import Approval
from agentapp.services import approvals, deciders

_PENDING = "pending"
DONE = {
    "approve": "Approved: it is being sent.",
    "edit": "Approved with your edit: it is being sent.",
    "request_changes": "Your remark went back: another draft will come.",
    "reject": "Rejected: nothing is sent.",
}


@admin.register(Approval)
class ApprovalAdmin(ReadOnlyAdmin):
    """What waits for a decision, oldest first; below it what has been decided, newest first."""

    read_scope = "approvals:read"
    detail_template = "agentapp/approval.html"

    class Media:
        js = ("agentapp/drafts.js",)

    list_display = ("subject", "state_badge", "risk_badge", "score", "recipient", "tenant", "asked", "expires")
    list_filter = ("state", "risk", TenantFilter)
    list_select_related = ("tenant",)
    search_fields = ("content", "workflow__id")
    search_help_text = "Words of the content, or the id of a task."
    ordering = (
        Case(When(state=_PENDING, then=Value(0)), default=Value(1)),
        Case(When(state=_PENDING, then=F("created_at")), output_field=DateTimeField()),
        F("decided_at").desc(nulls_last=True),
    )

    @admin.display(description="what")
    def subject(self, approval: Approval) -> str:
        return cells.headline(evidence.title(approval.content))

    @admin.display(description="state", ordering="state")
    def state_badge(self, approval: Approval) -> SafeString:
        return cells.badge(approval.state, "person" if approval.state == _PENDING else "")

    @admin.display(description="risk", ordering="risk")
    def risk_badge(self, approval: Approval) -> SafeString:
        return format_html('<span class="badge risk-{0}">{0}</span>', approval.risk)

    @admin.display(description="score")
    def score(self, approval: Approval) -> str | SafeString:
        evaluation = evidence.evaluation(approval)
        if evaluation["score"] is None:
            return "-"
        shown = f"{evaluation['score']:.2f}"
        if not evaluation["below"]:
            return shown
        return format_html('{} <span class="badge tone-bad">below the bar</span>', shown)

    @admin.display(description="to")
    def recipient(self, approval: Approval) -> str:
        return str(approval.content.get("to", "-"))

    @admin.display(description="asked", ordering="created_at")
    def asked(self, approval: Approval) -> SafeString:
        return cells.when(approval.created_at)

    @admin.display(description="expires", ordering="expires_at")
    def expires(self, approval: Approval) -> str:
        return cells.until(approval.expires_at) if approval.state == _PENDING else "-"

    def context(self, request: HttpRequest, record: Approval) -> dict[str, Any]:
        pending = self.get_queryset(request).filter(state=_PENDING).exclude(pk=record.pk)
        later = pending.filter(pk__gt=record.pk).order_by("pk").first()
        earlier = pending.filter(pk__lt=record.pk).order_by("-pk").first()
        return {
            "title": cells.headline(evidence.title(record.content)),
            "state": self.state_badge(record),
            **approval_page.context(request, record),
            "earlier": _url(earlier) if earlier else "",
            "later": _url(later) if later else "",
            "waiting": pending.count(),
            **undo.context(request, record),
            **queue_forms.context(request, record),
            "refusal": deciders.refusal(principal_of(request), record) if record.state == _PENDING else "",
            "rules": deciders.rules(record),
            "votes": record.votes.select_related("user", "api_key").order_by("id"),
            "votes_missing": deciders.votes_missing(record),
        }

    def act(self, request: HttpRequest, record: Approval) -> HttpResponse:
        """Hand the decision over together with the hash of what the page had shown."""
        decision = request.POST.get("decision", "")
        typed: dict[str, Any] = {"decision": decision, "reason": request.POST.get("reason", "").strip()}
        try:
            if decision in queue_forms.FORMS:
                return queue_forms.act(request, record, decision)
            typed["content"] = deciding.edited(request, record)
            wanted = deciding.read(request, record)
            if sha256 := deciding.must_confirm(record, wanted):
                messages.warning(request, deciding.CONFIRM)
                edit = approval_page.edit(record, wanted.content)
                return self.page(request, record, **typed, confirm=sha256, decides=wanted.decision, edit=edit)
            decided = approvals.decide(
                principal_of(request), record.pk, decision=wanted.decision, reason=wanted.reason,
                content=wanted.content, content_sha256=wanted.content_sha256,
            )  # fmt: skip
        except REFUSALS as error:
            status = refuse(request, error)
            record.refresh_from_db()
            return self.page(request, record, status=status, **typed, errors=deciding.errors(error))
        return deciding.decided(self._next(request, decided, wanted.decision), request, record)

    def _next(self, request: HttpRequest, decided: Approval, decision: str) -> HttpResponse:
        """Go on with what waits, and offer to take back what is held."""
        following = self.get_queryset(request).filter(state=_PENDING).exclude(pk=decided.pk).order_by("pk").first()
        if decided.held_until:
            return redirect(undo.following(decided, _url(following or decided)))
        messages.success(request, _said(decision, decided))
        return redirect(_url(following) if following else reverse("admin:agentapp_approval_changelist"))


def _said(decision: str, decided: Approval) -> str:
    """What came of a decision; of one that several people make, what is still missing."""
    if decided.state != _PENDING:
        return DONE.get(decision, "Decided.")
    edited = "Your edit is saved. " if decision == "edit" else ""
    return f"{edited}Votes that are still missing for this content: {decided.votes_missing}."


def _url(approval: Approval) -> str:
    return reverse("admin:agentapp_approval_change", args=(approval.pk,))
