"""Who decides in whose place until when. Everybody who decides delegates for themselves, administrators for all."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied as Forbidden
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse

from agentapp.admin.base import REFUSALS, ReadOnlyAdmin, model_page, principal_of, refuse, visible_tenants
from agentapp.errors import InvalidInput
from agentapp.models import Delegation, Tenant
from agentapp.policies.permissions import PEOPLE
from agentapp.services import delegations

_MOST_TENANTS = 100


@admin.register(Delegation)
class DelegationAdmin(ReadOnlyAdmin):
    """Delegations that hold. What is over is on the page of the person, among the changes."""

    read_scope = delegations.DECIDES
    detail_template = "agentapp/delegation.html"
    list_display = ("user", "delegate", "tenant", "until")
    list_select_related = ("tenant", "user", "delegate")
    ordering = ("tenant__slug", "user__username")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        if not self.has_view_permission(request):
            return Delegation.objects.none()
        return delegations.listing(principal_of(request))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_add_permission(request):
            raise Forbidden
        status = 200
        if request.method == "POST":
            try:
                given = _give(request)
            except REFUSALS as error:
                status = refuse(request, error)
            else:
                messages.success(request, f"Until then {given.delegate} decides in the place of {given.user}.")
                return redirect(model_page(Delegation, "changelist"))
        typed = {name: request.POST.get(name, "") for name in ("tenant", "user", "delegate", "until")}
        context = self.page_context(request, "Delegate decisions") | {"typed": typed} | _choices(request)
        return TemplateResponse(request, "agentapp/add_delegation.html", context, status=status)

    def context(self, request: HttpRequest, record: Delegation) -> dict[str, Any]:
        manages = PEOPLE in principal_of(request).scopes_in(record.tenant_id)
        return {"title": str(record), "can_end": manages or record.user_id == request.user.pk}

    def act(self, request: HttpRequest, record: Delegation) -> HttpResponse:
        try:
            ended = delegations.end(principal_of(request), record.pk)
        except REFUSALS as error:
            return self.page(request, record, status=refuse(request, error))
        messages.success(request, f"Ended: {ended.delegate} decides as themselves alone.")
        return redirect(model_page(Delegation, "changelist"))


def _give(request: HttpRequest) -> Delegation:
    tenant = _tenants(request).filter(slug=request.POST.get("tenant", "").replace("\x00", "")).first()
    if tenant is None:
        raise InvalidInput.at("tenant", "Choose one of the tenants in the list.")
    names = {name: request.POST.get(name, "").strip() for name in ("delegate", "user")}
    return delegations.give(
        principal_of(request), tenant=tenant, until=_until(request.POST.get("until", "")), **names
    )  # fmt: skip


def _until(day: str) -> datetime:
    """The end of a day, UTC. Raises InvalidInput."""
    try:
        chosen = datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC)
        return datetime.combine(chosen + timedelta(days=1), time(), UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidInput.at("until", "Write the last day, such as 2030-01-31.") from error


def _tenants(request: HttpRequest) -> QuerySet[Tenant]:
    """The tenants in which the visitor decides."""
    return visible_tenants(request, scope=delegations.DECIDES)


def _choices(request: HttpRequest) -> dict[str, Any]:
    """Who may be named. Of several tenants together: what does not fit is refused in words."""
    tenants = list(_tenants(request)[:_MOST_TENANTS])
    principal = principal_of(request)
    people = delegations.deciding_people(tenant.pk for tenant in tenants)
    manages = any(PEOPLE in principal.scopes_in(tenant.pk) for tenant in tenants)
    return {"tenants": tenants, "people": people, "manages": manages, "own": request.user.get_username()}
