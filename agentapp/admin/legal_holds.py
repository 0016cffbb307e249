"""Legal holds: what they keep, who has placed them and why. Administrators of a tenant place and release them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied as Forbidden
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.safestring import SafeString

from agentapp.admin import actors, cells, masking
from agentapp.admin.base import REFUSALS, ReadOnlyAdmin, TenantFilter, model_page, principal_of, refuse, visible_tenants
from agentapp.errors import InvalidInput, NotFound
from agentapp.ids import parsed
from agentapp.models import LegalHold, Workflow
from agentapp.services import legal_holds
from agentapp.services.principals import Principal
from agentapp.services.retention_rules import READ, WRITE, may_write

_COVERS = (
    ("tenant", "the whole tenant"), ("task", "one task"), ("customer", "one customer"),
    ("label", "the tasks with a label"),
)  # fmt: skip
# On the page of a task; of more it says that there are more.
MOST_SHOWN = 20
_TYPED = ("tenant", "covers", "named", "reason")


@admin.register(LegalHold)
class LegalHoldAdmin(ReadOnlyAdmin):
    """Newest first. What was released stands under Changes."""

    read_scope = READ
    detail_template = "agentapp/legal_hold.html"
    list_display = ("on", "tenant", "reason", "by", "since")
    list_filter = (TenantFilter,)
    search_fields = ("reason", "customer", "label_name", "label_value")
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[LegalHold]:
        if not self.has_view_permission(request):
            return LegalHold.objects.none()
        principal = principal_of(request)
        return masking.searchable(principal, legal_holds.visible(principal), request.GET.get("q", ""))

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> LegalHold | None:
        hold = super().get_object(request, object_id, from_field)
        return _masked(principal_of(request), hold) if hold else None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return WRITE in principal_of(request).scopes

    @admin.display(description="keeps")
    def on(self, hold: LegalHold) -> str:
        return hold.covers

    @admin.display(description="placed by", ordering="placed_by")
    def by(self, hold: Any) -> str:
        return str(hold.who)

    @admin.display(description="since", ordering="id")
    def since(self, hold: LegalHold) -> SafeString:
        return cells.when(hold.placed_at)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        found = super().get_changelist_instance(request)
        found.result_list = _named(principal_of(request), found.result_list)
        return found

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_add_permission(request):
            raise Forbidden
        typed, status = _of_task(request), 200
        if request.method == "POST":
            typed = {name: request.POST.get(name, "").replace("\x00", "").strip() for name in _TYPED}
            try:
                hold = _place(request, typed)
            except REFUSALS as error:
                status = refuse(request, error)
            else:
                messages.success(request, f"A legal hold is on {hold.covers} of {hold.tenant}: {hold.reason}")
                return redirect(model_page(LegalHold, "change"), hold.pk)
        context = self.page_context(request, "Place a legal hold") | {
            "typed": typed,
            "covers": _COVERS,
            "tenants": visible_tenants(request, scope=WRITE),
        }
        return TemplateResponse(request, "agentapp/add_legal_hold.html", context, status=status)

    def context(self, request: HttpRequest, record: LegalHold) -> dict[str, Any]:
        task = record.workflow_id and reverse(model_page(Workflow, "change"), args=(record.workflow_id,))
        return {
            "title": f"Legal hold on {record.covers}",
            "who": actors.name(record.placed_by),
            "task_url": task or "",
            "can_write": may_write(principal_of(request), record.tenant_id),
        }

    def act(self, request: HttpRequest, record: LegalHold) -> HttpResponse:
        """Release it, the only thing that can be done to a hold."""
        reason = request.POST.get("reason", "")
        try:
            legal_holds.lift(record, reason=reason, by=principal_of(request))
        except NotFound as error:
            # Pressed twice, or by two people.
            messages.info(request, str(error))
        except REFUSALS as error:
            return self.page(request, record, status=refuse(request, error), reason=reason)
        else:
            messages.success(request, f"Released: the legal hold on {record.covers}. Retention deletes it as anything.")
        return redirect(model_page(LegalHold, "changelist"))


def shown(principal: Principal, task: Workflow) -> list[LegalHold]:
    """The holds that keep a task, each with `who` has placed it; where there are more than MOST_SHOWN, one more."""
    return _named(principal, legal_holds.of_task(principal, task, most=MOST_SHOWN + 1))


def link_for(principal: Principal, task: Workflow) -> str:
    """Where a hold on a task is placed; "" for who may not."""
    may = may_write(principal, task.tenant_id)
    return f"{reverse(model_page(LegalHold, 'add'))}?task={task.pk}" if may else ""


def _named(principal: Principal, holds: Iterable[LegalHold]) -> list[LegalHold]:
    """These holds, each with `who` has placed it, as the principal may see them."""
    found = list(holds)
    known = actors.names(hold.placed_by for hold in found)
    for hold in found:
        _masked(principal, hold).who = known[hold.placed_by]  # type: ignore[attr-defined]
    return found


def _masked(principal: Principal, hold: LegalHold) -> LegalHold:
    """The hold, without its customer for who may not see payloads: tasks name them there alone."""
    if hold.customer and masking.hides(principal, hold.tenant_id):
        hold.customer = masking.MASKED
    return hold


def _of_task(request: HttpRequest) -> dict[str, str]:
    """The form as it is opened from the page of a task."""
    task_id = parsed(request.GET.get("task", ""))
    tasks = principal_of(request).visible(Workflow.objects.select_related("tenant"), scope=WRITE)
    task = tasks.filter(pk=task_id).first() if task_id else None
    return {"tenant": task.tenant.slug, "covers": "task", "named": str(task.pk)} if task else {}


def _place(request: HttpRequest, typed: dict[str, str]) -> LegalHold:
    tenant = visible_tenants(request, scope=WRITE).filter(slug=typed["tenant"]).first()
    if tenant is None:
        raise InvalidInput.at("tenant", "Choose one of the tenants in the list.")
    covers, named = typed["covers"], typed["named"]
    if covers not in dict(_COVERS):
        raise InvalidInput.at("covers", "Choose what the hold keeps.")
    if bool(named) != (covers != "tenant"):
        # An empty field must not hold more, or less, than the person meant.
        words = "Leave this empty for the whole tenant." if named else "Write which one."
        raise InvalidInput.at("named", words)
    on = legal_holds.cover(tenant, **({covers: named} if named else {}))
    return legal_holds.place(tenant, on=on, reason=typed["reason"], by=principal_of(request))
