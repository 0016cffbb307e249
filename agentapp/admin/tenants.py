"""Tenants, and the people who may see their work."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied as Forbidden
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse

from agentapp.admin.base import REFUSALS, AnyModelAdmin, ReadOnlyAdmin, model_page, refuse, visible_tenants
from agentapp.models import Membership, Tenant
from agentapp.services import tenants


@admin.register(Tenant)
class TenantAdmin(ReadOnlyAdmin):
    """Workspaces."""

    list_display = ("slug", "name", "suspended_at", "created_at")
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
        typed, status = {name: request.POST.get(name, "").strip() for name in ("slug", "name")}, 200
        if request.method == "POST":
            try:
                tenant = tenants.create(slug=typed["slug"], name=typed["name"])
            except REFUSALS as error:
                status = refuse(request, error)
            else:
                messages.success(request, f"The tenant {tenant} was created. Give it an API key next.")
                return redirect(model_page(Tenant, "changelist"))
        context = self.page_context(request, "Add tenant") | {"typed": typed}
        return TemplateResponse(request, "agentapp/add_tenant.html", context, status=status)


@admin.register(Membership)
class MembershipAdmin(AnyModelAdmin):
    """Who sees what. Only superusers: a person who could edit this would open any tenant to themselves. [INV10]"""

    list_display = ("user", "tenant")
    list_filter = ("tenant",)
    list_select_related = ("user", "tenant")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_active and request.user.is_superuser)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_module_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.has_module_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_module_permission(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_module_permission(request)
