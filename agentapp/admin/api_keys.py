"""API keys: made here, shown once, revoked at once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied as Forbidden
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString

from agentapp import clock
from agentapp.admin import cells
from agentapp.admin.base import REFUSALS, ReadOnlyAdmin, TenantFilter, principal_of, refuse, visible_tenants
from agentapp.errors import InvalidInput
from agentapp.models import ApiKey, Tenant
from agentapp.policies import bounds
from agentapp.policies.permissions import API_SCOPES, KEYS, OPERATOR_SCOPES, PAYLOADS
from agentapp.services import api_keys

MOST_DAYS = 9_999


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnlyAdmin):
    """Clients' credentials, of which only a hash is kept."""

    detail_template = "agentapp/api_key.html"
    list_display = (
        "name",
        "prefix",
        "tenant",
        "usable",
        "scopes",
        "sees_payloads",
        "created_at",
        "last_used_at",
        "expires_at",
    )
    list_filter = (TenantFilter,)
    list_select_related = ("tenant",)
    search_fields = ("name", "prefix")
    ordering = ("-created_at",)
    actions = ("revoke",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiKey]:
        """The keys of the tenants whose keys the visitor manages."""
        return super().get_queryset(request).filter(tenant__in=_tenants(request))

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _manages(request) or super(ReadOnlyAdmin, self).has_view_permission(request, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return _manages(request) or super(ReadOnlyAdmin, self).has_add_permission(request)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return _manages(request) or super(ReadOnlyAdmin, self).has_change_permission(request)

    @admin.display(description="state")
    def usable(self, key: ApiKey) -> SafeString:
        return cells.badge(_state(key))

    @admin.action(description="Revoke the selected keys", permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        for key in queryset:
            api_keys.revoke(key, by=principal_of(request).actor)
        self.message_user(request, "Revoked: requests with these keys are refused from now on.", messages.SUCCESS)

    def context(self, request: HttpRequest, record: ApiKey) -> dict[str, Any]:
        may_revoke = self.has_revoke_permission(request) and record.revoked_at is None
        may_rotate = self._may_rotate(request, record) and _state(record) == "valid"
        return {"state": _state(record), "can_revoke": may_revoke, "can_rotate": may_rotate}

    def _may_rotate(self, request: HttpRequest, record: ApiKey) -> bool:
        # Who rotates a key holds it then.
        of_key = {*record.scopes, PAYLOADS} if record.sees_payloads else set(record.scopes)
        is_whole = record.replaced_by_id is None and of_key <= principal_of(request).scopes_in(record.tenant_id)
        return is_whole and self.has_revoke_permission(request) and self.has_add_permission(request)

    def act(self, request: HttpRequest, record: ApiKey) -> HttpResponse:
        if request.POST.get("do") == "rotate":
            return self._rotate(request, record)
        if not self.has_revoke_permission(request):
            raise Forbidden
        api_keys.revoke(record, by=principal_of(request).actor)
        messages.success(request, "Revoked: requests with this key are refused from now on.")
        return redirect(request.path)

    def _rotate(self, request: HttpRequest, record: ApiKey) -> HttpResponse:
        """Give a key a new secret, which is part of this one answer and of nothing else."""
        if not self._may_rotate(request, record):
            raise Forbidden
        overlap_s = bounds.whole(request.POST.get("overlap_s", "").strip(), most=api_keys.LONGEST_OVERLAP_S)
        try:
            if overlap_s is None:
                raise InvalidInput(f"The old key may go on for 0 to {api_keys.LONGEST_OVERLAP_S:,} seconds.")
            key, secret, old = api_keys.rotate(record, overlap_s=overlap_s, by=principal_of(request).actor)
        except REFUSALS as error:
            return self.page(request, record, status=refuse(request, error))
        shown = {"key": key, "secret": secret, "old": old}
        context = self.page_context(request, "API key rotated") | shown
        return TemplateResponse(request, "agentapp/add_api_key.html", context)

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Make a key. The secret is part of this one answer and of nothing else."""
        if not self.has_add_permission(request):
            raise Forbidden
        context = self.page_context(request, "Add API key") | {
            "tenants": _tenants(request),
            # Nobody hands out more than they hold.
            "offered": [scope for scope in API_SCOPES if scope in principal_of(request).scopes],
            "of_the_platform": [scope for scope in OPERATOR_SCOPES if scope in principal_of(request).scopes],
            "sees_payloads": PAYLOADS in principal_of(request).scopes,
            "typed": {
                "name": request.POST.get("name", ""),
                "scopes": request.POST.getlist("scopes"),
                "payloads": request.POST.get("payloads", ""),
            },
        }
        status = 200
        if request.method == "POST":
            try:
                key, secret = self._create(request)
            except REFUSALS as error:
                status = refuse(request, error)
            else:
                context |= {"key": key, "secret": secret, "title": "API key created"}
        return TemplateResponse(request, "agentapp/add_api_key.html", context, status=status)

    def _create(self, request: HttpRequest) -> tuple[ApiKey, str]:
        tenant = _tenants(request).filter(slug=request.POST.get("tenant", "")).first()
        if tenant is None:
            raise InvalidInput("Choose one of the tenants in the list.")
        scopes = request.POST.getlist("scopes")
        for scope in scopes:
            principal_of(request).require(scope, tenant.pk)
        days = request.POST.get("days", "").strip()
        number = bounds.whole(days, least=1, most=MOST_DAYS)
        if days and number is None:
            raise InvalidInput(
                f"Days must be a whole number from 1 to {MOST_DAYS}; leave it empty for a key that stays."
            )
        expires_at = clock.now() + timedelta(days=number) if number else None
        name = request.POST.get("name", "").strip()
        sees = request.POST.get("payloads") != "no"
        if sees:
            # A key shows no more than who made it sees.
            principal_of(request).require(PAYLOADS, tenant.pk)
        by = principal_of(request).actor
        return api_keys.create(
            tenant=tenant, name=name, scopes=scopes, expires_at=expires_at, sees_payloads=sees, by=by
        )


def _manages(request: HttpRequest) -> bool:
    return KEYS in principal_of(request).scopes


def _tenants(request: HttpRequest) -> QuerySet[Tenant]:
    """The tenants whose keys the visitor manages by their role or, without one, by Django's permissions."""
    principal, tenants = principal_of(request), visible_tenants(request)
    if principal.tenant_ids is None or principal.user is None:
        return tenants
    if held := principal.tenants_with(KEYS):
        return tenants.filter(pk__in=held)
    # What may be done there, Django's permissions say, which the pages ask.
    return tenants.filter(memberships__user=principal.user, memberships__role="")


def _state(key: ApiKey) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at is not None and key.expires_at <= clock.now() else "valid"
