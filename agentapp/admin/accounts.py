"""Django's own pages of users and groups, in a form that everybody can use.

Their choosers put a label on an element that may have none, and write styles that the content policy stops: a plain
list takes their place. The moments of a user are written by the service, and are no fields.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path

from agentapp.admin.base import REFUSALS, principal_of
from agentapp.lifecycle import tenant_context
from agentapp.policies.counting import count
from agentapp.services import sessions

if TYPE_CHECKING:
    AnyUserAdmin = UserAdmin[User]
else:
    AnyUserAdmin = UserAdmin

admin.site.unregister((Group, User))


@admin.register(Group)
class PlainGroupAdmin(GroupAdmin):
    """Groups of Django's permissions."""

    filter_horizontal = ()


@admin.register(User)
class PlainUserAdmin(AnyUserAdmin):
    """People who sign in. Their tenants and roles stand under Memberships."""

    filter_horizontal = ()
    readonly_fields = ("last_login", "date_joined")
    change_form_template = "agentapp/account.html"

    def get_urls(self) -> list[URLPattern]:
        ends = self.admin_site.admin_view(self.end_sessions)
        return [path("<int:user_id>/sessions/", ends, name="auth_user_sessions"), *super().get_urls()]

    def end_sessions(self, request: HttpRequest, user_id: int) -> HttpResponse:
        """POST: wherever the person is signed in, they must sign in again."""
        person = get_object_or_404(User, pk=user_id)
        if request.method != "POST" or not self.has_change_permission(request, person):
            raise PermissionDenied
        try:
            ended = sessions.end_of(principal_of(request), person)
        except REFUSALS as error:
            raise PermissionDenied(str(error)) from error
        self.log_change(request, person, "Ended all sessions.")
        messages.success(request, f"{count(ended, 'session')} of {person} ended.")
        return redirect("admin:auth_user_change", user_id)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        # What belongs to an account may be of tenants that the visitor does not see.
        with tenant_context.platform_rows():
            return super().get_deleted_objects(objs, request)
