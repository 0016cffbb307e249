"""Approvals: the inbox, and the page on which a person decides what leaves the platform."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied as Forbidden
from django.db.models import Case, DateTimeField, F, QuerySet, Value, When
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString

from agentapp.admin import (
    approval_mails,
    approval_page,
    approving_equal,
    cells,
    deciding,
    evidence,
    masking,
    neighbours,
    queue_forms,
    revisions,
    undo,
    watching,
)
from agentapp.admin.approval_filters import ClaimFilter, KindFilter, OverdueFilter, SnoozedFilter
from agentapp.admin.base import REFUSALS, DrillFilter, ReadOnlyAdmin, TenantFilter, principal_of, refuse
from agentapp.models import Approval
from agentapp.models.approval import RISK_RANK
from agentapp.services import approvals, assignments, deciders, electorates, operations

_PENDING = "pending"


class ApprovalList(ChangeList):
    """A page of the list, with what nobody can decide; in as many statements for any number of rows."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows = list(self.result_list)
        stuck = electorates.undecidable(rows)
        for row in rows:
            row.undecidable = stuck[row.pk]
        self.result_list = rows


@admin.register(Approval)
class ApprovalAdmin(ReadOnlyAdmin):
    """What waits for a decision, by risk, priority and age; below it what has been decided, newest first."""

    read_scope = "approvals:read"
    detail_template = "agentapp/approval.html"
    masks_page = True
    masked_fields = {"content": {"subject": masking.MASKED, "to": masking.MASKED}, "summary": masking.MASKED}

    class Media:
        js = ("agentapp/drafts.js",)

    change_list_template = "agentapp/approvals.html"
    list_display = (
        "subject", "state_badge", "risk_badge", "score", "recipient", "tenant", "asked", "expires", "claimed",
    )  # fmt: skip
    list_filter = (
        "state", "risk", KindFilter, ClaimFilter, OverdueFilter, SnoozedFilter, TenantFilter, DrillFilter,
    )  # fmt: skip
    list_select_related = ("tenant", "workflow", "job", "claimed_by_user", "claimed_by_key")
    actions = ("approve_equal",)
    search_fields = ("content", "workflow__id")
    search_help_text = "Words of the content, or the id of a task."
    ordering = (
        Case(When(state=_PENDING, then=Value(0)), default=Value(1)),
        Case(When(state=_PENDING, then=RISK_RANK)),
        Case(When(state=_PENDING, then=F("priority"))),
        Case(When(state=_PENDING, then=F("created_at")), output_field=DateTimeField()),
        F("decided_at").desc(nulls_last=True),
    )

    @admin.display(description="what")
    def subject(self, approval: Approval) -> str:
        return cells.headline(approval.summary or evidence.title(approval.content))

    @admin.display(description="state", ordering="state")
    def state_badge(self, approval: Approval) -> SafeString:
        badge = cells.badge(approval.state, "person" if approval.state == _PENDING else "")
        if not getattr(approval, "undecidable", ""):
            return badge
        return format_html('{} <span class="badge tone-bad">nobody can decide</span>', badge)

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
        return format_html('{} <span class="badge tone-bad">below the required score</span>', shown)

    @admin.display(description="to")
    def recipient(self, approval: Approval) -> SafeString:
        return cells.cut(str(approval.content.get("to", "-")))

    @admin.display(description="asked", ordering="created_at")
    def asked(self, approval: Approval) -> SafeString:
        return cells.when(approval.created_at)

    @admin.display(description="expires", ordering="expires_at")
    def expires(self, approval: Approval) -> SafeString | str:
        return cells.until(approval.expires_at) if approval.state == _PENDING else "-"

    @admin.display(description="claimed by")
    def claimed(self, approval: Approval) -> str:
        return assignments.holder(approval) if approval.state == _PENDING else ""

    def get_urls(self) -> list[URLPattern]:
        watch = self.admin_site.admin_view(self.watch)
        equal = self.admin_site.admin_view(self.equal)
        return [
            path("<uuid:approval_id>/watch/", watch, name="agentapp_approval_watch"),
            path("mails/", self.admin_site.admin_view(self.mails), name=approval_mails.NAME),
            path("equal/", equal, name=approving_equal.NAME),
            *super().get_urls(),
        ]

    def has_decide_permission(self, request: HttpRequest) -> bool:
        return undo.SCOPE in principal_of(request).scopes

    @admin.action(description="Approve equal mails of low risk", permissions=["decide"])
    def approve_equal(self, request: HttpRequest, queryset: QuerySet[Approval]) -> HttpResponse:
        """Show each of those that were ticked; nothing is decided yet."""
        chosen = queryset.values_list("pk", flat=True)[: approving_equal.MOST + 1]
        return redirect(approving_equal.page(request, chosen))

    def mails(self, request: HttpRequest) -> HttpResponse:
        """Choose of which tenants' approvals one is told by mail."""
        return approval_mails.answer(request, self.page_context(request, approval_mails.TITLE))

    def equal(self, request: HttpRequest) -> HttpResponse:
        """Read several equal mails, and approve them by one confirmation."""
        if not self.has_decide_permission(request):
            raise Forbidden
        return approving_equal.answer(request, self.page_context(request, approving_equal.TITLE))

    def watch(self, request: HttpRequest, approval_id: UUID) -> HttpResponse:
        """What an open page asks every few seconds."""
        rows = self.get_queryset(request).select_related("decided_by_user", "decided_by_key", "claimed_by_user")
        record = rows.filter(pk=approval_id).first()
        is_shown = record is not None and self.has_view_permission(request, record)
        if record is None or not is_shown or masking.hides(principal_of(request), record.tenant_id):
            raise Http404
        return watching.answer(request, record)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return ApprovalList

    def get_ordering(self, request: HttpRequest) -> Any:
        """Of what waits alone there is an index in this order."""
        if request.GET.get("state__exact") == _PENDING:
            return (RISK_RANK, "priority", "created_at")
        return super().get_ordering(request)

    def rows_of_list(self, request: HttpRequest) -> QuerySet[Approval]:
        """The rows of the list with the filters and the order of this request, on all of its pages."""
        try:
            rows: QuerySet[Approval] = self.get_changelist_instance(request).queryset
        except IncorrectLookupParameters:
            return self.get_queryset(request).order_by(*self.ordering)
        return rows

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list, with how many wait, whatever the filters show."""
        pending = operations.without_drill(self.get_queryset(request).filter(state=_PENDING))
        waiting = assignments.not_snoozed(pending).count()
        return super().changelist_view(request, {"waiting": waiting, "lists_decisions": True, **(extra_context or {})})

    def context(self, request: HttpRequest, record: Approval) -> dict[str, Any]:
        beside = neighbours.of(self, request, record)
        return {
            "title": cells.headline(record.summary or evidence.title(record.content)),
            "state": self.state_badge(record),
            **approval_page.context(request, record),
            "earlier": beside.earlier,
            "later": beside.later,
            "waiting": beside.waiting,
            **undo.context(request, record),
            **queue_forms.context(request, record),
            "refusal": deciders.refusal(principal_of(request), record) if record.state == _PENDING else "",
            "undecidable": electorates.undecidable([record])[record.pk],
            "rules": deciders.rules(record),
            "votes": record.votes.select_related("user", "for_user", "api_key").order_by("id"),
            "votes_missing": deciders.votes_missing(record),
        }

    def act(self, request: HttpRequest, record: Approval) -> HttpResponse:
        """Hand the decision over together with the hash of what the page had shown."""
        decision = request.POST.get("decision", "")
        typed: dict[str, Any] = {"decision": decision, "reason": request.POST.get("reason", "").strip()}
        typed |= {name: request.POST.get(name, "") for name in ("hours", "until")}
        try:
            if decision in queue_forms.FORMS:
                return queue_forms.act(request, record, decision)
            typed["content"] = deciding.edited(request, record)
            typed["text"] = revisions.as_text(typed["content"])
            wanted = deciding.read(request, record)
            following = neighbours.of(self, request, record).following
            decided = approvals.decide(
                principal_of(request), record.pk, decision=wanted.decision, reason=wanted.reason,
                content=wanted.content, content_sha256=wanted.content_sha256, confirmed_sha256=wanted.confirmed_sha256,
            )  # fmt: skip
        except REFUSALS as error:
            errors = deciding.errors(error)
            if "confirmed_sha256" in errors:
                messages.warning(request, deciding.CONFIRM)
                return self.page(request, record, **typed, **approval_page.second_step(record, typed["content"]))
            status = refuse(request, error)
            record.refresh_from_db()
            return self.page(request, record, status=status, **typed, errors=errors)
        return deciding.decided(self._next(request, decided, wanted.decision, following), request, record)

    def _next(self, request: HttpRequest, decided: Approval, decision: str, following: str) -> HttpResponse:
        """Go on with what waits, and offer to take back what is held."""
        if decided.held_until:
            return redirect(undo.following(decided, following or neighbours.url(request, decided.pk)))
        messages.success(request, deciding.said(decision, decided))
        return redirect(following or neighbours.list_url(request))
