"""Pages about the installation itself: they belong to no tenant, and superusers alone see them."""

from __future__ import annotations

from typing import Any, ClassVar

from django.core.exceptions import PermissionDenied as Forbidden
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from agentapp.admin.base import ReadOnlyAdmin, principal_of
from agentapp.services import gates


class PlatformAdmin(ReadOnlyAdmin):
    """Base of the pages of who runs the platform. Others are refused before anything is looked up."""

    read_scope: ClassVar[str] = gates.READ
    write_scope: ClassVar[str] = gates.WRITE
    change_list_template = "agentapp/platform_list.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """All of them: whose keys these are does not matter to who is let in."""
        rows: QuerySet[Any] = self.model._default_manager.all()
        return rows if self.has_view_permission(request) else rows.none()

    def has_write_permission(self, request: HttpRequest) -> bool:
        return self.write_scope in principal_of(request).scopes

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise Forbidden
        return super().change_view(request, object_id, form_url, extra_context)
