"""Tenants."""

from __future__ import annotations

import math
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied as Forbidden
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse

from agentapp.admin import form
from agentapp.admin.base import (
    REFUSALS,
    ReadOnlyAdmin,
    TextFilter,
    model_page,
    principal_of,
    refuse,
    visible_tenants,
)
from agentapp.admin.limits import page_of_key
from agentapp.errors import IllegalMove, InvalidInput
from agentapp.models import Limit, Tenant
from agentapp.policies import bounds
from agentapp.services import gates, tenants


@admin.register(Tenant)
class TenantAdmin(ReadOnlyAdmin):
    """Tenants."""

    detail_template = "agentapp/tenant.html"
    list_display = ("slug", "name", "tier", "weight", "suspended_at", "created_at")
    list_filter = (("tier", TextFilter),)
    search_fields = ("slug", "name")
    ordering = ("slug",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return visible_tenants(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super(ReadOnlyAdmin, self).has_add_permission(request)

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_add_permission(request):
            raise Forbidden
        typed, status = {"tier": tenants.TIER, "weight": f"{tenants.WEIGHT:g}"}, 200
        if request.method == "POST":
            typed |= {name: request.POST.get(name, "").strip() for name in ("slug", "name", "tier", "weight")}
            try:
                tenant = tenants.create(slug=typed["slug"], name=typed["name"], **_share(request))
            except REFUSALS as error:
                status = refuse(request, error)
            else:
                messages.success(request, f"The tenant {tenant} was created. Give it an API key next.")
                return redirect(model_page(Tenant, "changelist"))
        context = self.page_context(request, "Add tenant") | {"typed": typed, "can_share": _may_share(request)}
        return TemplateResponse(request, "agentapp/add_tenant.html", context, status=status)

    def context(self, request: HttpRequest, record: Tenant) -> dict[str, Any]:
        sees_limits = gates.READ in principal_of(request).scopes
        limit = Limit.objects.filter(key=f"tenant:{record.pk}").first() if sees_limits else None
        return {
            "title": str(record.name),
            "limit_url": page_of_key(limit.key) if limit else "",
            "can_share": _may_share(request),
            "keys": record.api_keys.filter(revoked_at=None).count(),
            "as_read": tenants.shown(record),
        }

    def act(self, request: HttpRequest, record: Tenant) -> HttpResponse:
        """Give it another tier or weight, the only thing that can be changed here."""
        entered, seen = form.typed(request.POST, ("tier", "weight", "reason")), form.seen(request.POST)
        try:
            share = _share(request, always=True)
            tenants.change(principal_of(request), record, **share, reason=entered["reason"], as_read=seen)
        except InvalidInput as error:
            errors = {item["field"]: item["message"] for item in error.errors}
            messages.error(request, "Nothing was saved. Correct what is marked.")
            return self.page(request, record, status=422, **entered, errors=errors, as_read=seen)
        except IllegalMove as error:
            record.refresh_from_db(fields=["tier", "weight"])
            errors = form.saved_meanwhile(entered, {"tier": record.tier, "weight": f"{record.weight:g}"})
            return self.page(request, record, status=refuse(request, error), **entered, errors=errors)
        except REFUSALS as error:
            return self.page(request, record, status=refuse(request, error))
        messages.success(request, "Saved: it holds from the next claim on.")
        return redirect(request.path)


def _may_share(request: HttpRequest) -> bool:
    return gates.WRITE in principal_of(request).scopes


def _share(request: HttpRequest, *, always: bool = False) -> dict[str, Any]:
    """The tier and the weight of a form. A form without them is that of a person who may not set them.

    Raises:
        PermissionDenied: somebody sets them who may not.
    """
    if not always and not {"tier", "weight"} & set(request.POST):
        return {}
    principal_of(request).require(gates.WRITE)
    # The service says what a weight may be.
    weight = bounds.number(request.POST.get("weight", "").strip(), least=-math.inf, most=math.inf)
    return {
        "tier": request.POST.get("tier", "").replace("\x00", "").strip(),
        "weight": math.nan if weight is None else weight,
    }
