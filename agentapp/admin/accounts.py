"""Django's own pages of users and groups, in a form that everybody can use.

Their choosers put a label on an element that may have none, and write styles that the content policy stops: a plain
list takes their place. The moments of a user are written by the service, and are no fields.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest

from agentapp.lifecycle import tenant_context

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

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        # What belongs to an account may be of tenants that the visitor does not see.
        with tenant_context.platform_rows():
            return super().get_deleted_objects(objs, request)
