"""People: who sees which tenant's work, and as what. For the administrators of a tenant and for superusers. [G6]"""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied as Forbidden
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse

from agentapp.admin import accounts as accounts
from agentapp.admin import actors, form
from agentapp.admin.base import REFUSALS, ReadOnlyAdmin, TenantFilter, model_page, principal_of, refuse, visible_tenants
from agentapp.errors import InvalidInput
from agentapp.models import Membership, Tenant
from agentapp.policies.permissions import PEOPLE, ROLES, SEES_PAYLOADS, scopes_of_member
from agentapp.services import people, second_factors, sessions
from agentapp.services.principals import Principal

_SHOWN_CHANGES = 10


@admin.register(Membership)
class MembershipAdmin(ReadOnlyAdmin):
    """Members of tenants."""

    read_scope = PEOPLE
    detail_template = "agentapp/person.html"
    list_display = ("person", "tenant", "role_shown", "sees_payloads", "is_active", "last_login")
    list_filter = (TenantFilter, "role")
    list_select_related = ("user", "tenant")
    search_fields = ("user__username", "user__email")
    ordering = ("tenant__slug", "user__username")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return people.managed(principal_of(request)) if self.has_view_permission(request) else Membership.objects.none()

    def has_add_permission(self, request: HttpRequest) -> bool:
        return PEOPLE in principal_of(request).scopes

    @admin.display(description="person", ordering="user__username")
    def person(self, membership: Membership) -> str:
        return membership.user.get_username()

    @admin.display(description="role", ordering="role")
    def role_shown(self, membership: Membership) -> str:
        return membership.role or "as in Django"

    @admin.display(description="may sign in", boolean=True)
    def is_active(self, membership: Membership) -> bool:
        return membership.user.is_active

    @admin.display(description="last signed in", ordering="user__last_login")
    def last_login(self, membership: Membership) -> Any:
        return membership.user.last_login

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Add a colleague. The password is part of this one answer and of nothing else."""
        if not self.has_add_permission(request):
            raise Forbidden
        shown: dict[str, Any] = {}
        status = 200
        if request.method == "POST":
            try:
                membership, password = self._add(request)
            except REFUSALS as error:
                status = refuse(request, error)
            else:
                shown = {"added": membership, "password": password}
        typed = {name: request.POST.get(name, "") for name in ("name", "email", "tenant", "role")}
        context = self.page_context(request, "Add a colleague") | {
            "typed": typed, "tenants": _tenants(request), "roles": _roles(principal_of(request)),
        }  # fmt: skip
        return TemplateResponse(request, "agentapp/add_person.html", context | shown, status=status)

    def _add(self, request: HttpRequest) -> tuple[Membership, str]:
        tenant = _tenants(request).filter(slug=request.POST.get("tenant", "").replace("\x00", "")).first()
        if tenant is None:
            raise InvalidInput.at("tenant", "Choose one of the tenants in the list.")
        name, email, role = (request.POST.get(field, "").strip() for field in ("name", "email", "role"))
        sees = _sees(request)
        return people.add(
            name=name, email=email, tenant=tenant, role=role, sees_payloads=sees, by=principal_of(request)
        )  # fmt: skip

    def context(self, request: HttpRequest, record: Membership) -> dict[str, Any]:
        recent = list(people.changes(record)[:_SHOWN_CHANGES])
        actors.give_names(recent)
        return {
            "title": f"{record.user} in {record.tenant}",
            "roles": _roles(principal_of(request)),
            "as_read": people.shown(record),
            "changes": recent,
            "is_own": record.user_id == request.user.pk,
            "has_second_factor": second_factors.has_one(record.user),
        }

    def act(self, request: HttpRequest, record: Membership) -> HttpResponse:
        by, wanted = principal_of(request), request.POST.get("action", "")
        try:
            if wanted == "password":
                _, password = people.new_password(by, record.pk)
                return self.page(request, record, password=password)
            if wanted == "remove":
                people.remove(by, record.pk)
                messages.success(request, f"{record.user} sees {record.tenant} no longer.")
                return redirect(model_page(Membership, "changelist"))
            if wanted == "forget":
                second_factors.forget(by, record.pk)
            elif wanted == "sessions":
                sessions.end_of_member(by, record.pk)
            elif wanted in ("activate", "deactivate"):
                people.set_active(by, record.pk, is_active=wanted == "activate")
            elif wanted == "mails":
                people.set_mails(by, record.pk, gets_mails=not record.gets_mails)
            elif wanted == "change":
                seen, role = form.seen(request.POST), request.POST.get("role", "")
                people.change(by, record.pk, role=role, sees_payloads=bool(_sees(request)), as_read=seen)
            else:
                raise Forbidden
        except REFUSALS as error:
            typed = form.typed(request.POST, ("role", "payloads"))
            return self.page(request, record, status=refuse(request, error), **typed)
        messages.success(request, "Saved: it holds from the next request on.")
        return redirect(request.path)


def _sees(request: HttpRequest) -> bool | None:
    """What was chosen of payloads; None: as the role has it."""
    return {"yes": True, "no": False}.get(request.POST.get("payloads", ""))


def _tenants(request: HttpRequest) -> QuerySet[Tenant]:
    """The tenants whose people the visitor manages."""
    return visible_tenants(request, scope=PEOPLE)


def _roles(principal: Principal) -> list[str]:
    """The roles that the visitor holds enough to give in one of their tenants, the least first."""
    return [
        role for role in ROLES
        if scopes_of_member(lambda permission: False, role, sees_payloads=SEES_PAYLOADS[role]) <= principal.scopes
    ]  # fmt: skip
