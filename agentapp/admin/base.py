"""What every admin page of agentapp shares: it shows what the visitor's tenants own and never saves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, cast

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied as Forbidden
from django.core.paginator import Page, Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.text import capfirst

from agentapp.admin import masking
from agentapp.api import links
from agentapp.errors import IllegalMove, InvalidInput, NotFound, PermissionDenied
from agentapp.lifecycle import tenant_context
from agentapp.models import Tenant
from agentapp.models.tenant import DRILL
from agentapp.services import operations, principals
from agentapp.services.principals import Principal

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    AnyModelAdmin = admin.ModelAdmin[Any]
else:
    AnyModelAdmin = admin.ModelAdmin

# What a service answers instead of doing what it was asked; its sentence is for the person.
REFUSALS = (IllegalMove, InvalidInput, NotFound, PermissionDenied)


def principal_of(request: HttpRequest) -> Principal:
    """The visitor as a principal; looked up once per request, because every list and menu entry asks."""
    known: Principal | None = getattr(request, "agentapp_principal", None)
    if known is None:
        # Their own memberships say which tenants those are. An anonymous visitor holds nothing.
        with tenant_context.platform_rows():
            known = principals.of_user(cast("User", request.user))
        request.agentapp_principal = known  # type: ignore[attr-defined]
    return known


def sees_own_tenants(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Middleware: on pages for people statements see the rows of the visitor's tenants."""

    def handle(request: HttpRequest) -> HttpResponseBase:
        if request.path_info.startswith(links.FOR_PEOPLE) and request.user.is_authenticated:
            tenant_context.enter(principal_of(request).tenant_ids)
        return get_response(request)

    return handle


def _in_tenant_of(request: HttpRequest, record: Any) -> None:
    """On the page of a record the visitor is who they are in its tenant."""
    tenant_id = record.pk if isinstance(record, Tenant) else getattr(record, "tenant_id", None)
    if tenant_id is not None:
        request.agentapp_principal = principal_of(request).as_in(tenant_id)  # type: ignore[attr-defined]


def refuse(request: HttpRequest, error: Exception) -> int:
    """Show why a service refused, and return the HTTP status that says the same."""
    messages.error(request, str(error))
    for problem in getattr(error, "errors", []):
        shown = f"{problem.get('field', '')}: {problem.get('message', '')}"
        if shown not in str(error):
            messages.error(request, shown)
    statuses = ((IllegalMove, 409), (InvalidInput, 422), (NotFound, 404))
    return next((status for kind, status in statuses if isinstance(error, kind)), 403)


def page_of(request: HttpRequest, name: str, rows: Any, *, size: int) -> Page[Any]:
    """One page of a table; `?<name>=2` asks for the second."""
    return Paginator(rows, size).get_page(request.GET.get(name))


class ReadOnlyAdmin(AnyModelAdmin):
    """Shows, asks permission, calls a service, reports. It knows no rules and saves nothing.

    Without `detail_template` a record's page is Django's own, with every field read-only. With one, `context` fills
    the template and `act` answers its forms.
    """

    read_scope: ClassVar[str] = "tasks:read"
    detail_template: ClassVar[str] = ""
    # Who may not see payloads: of the whole page of a record, or of these fields, reads that they are masked.
    masks_page: ClassVar[bool] = False
    masked_fields: ClassVar[Mapping[str, Any]] = {}
    show_full_result_count = False
    list_per_page = 50
    actions: Any = None

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """[INV10] A superuser sees all; staff sees the tenants of their memberships."""
        visible: QuerySet[Any] = principal_of(request).visible(super().get_queryset(request))
        if not (self.masks_page or self.masked_fields):
            return visible
        return masking.searchable(principal_of(request), visible, request.GET.get("q", ""))

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        found = super().get_changelist_instance(request)
        if self.masked_fields:
            masking.mask(principal_of(request), found.result_list, self.masked_fields)
        return found

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.read_scope in principal_of(request).scopes

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        title = {"title": capfirst(self.opts.verbose_name_plural)}
        return super().changelist_view(request, title | (extra_context or {}))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not (self.detail_template or self.masks_page):
            return super().change_view(request, object_id, form_url, extra_context)
        if not self.has_view_permission(request):
            raise Forbidden
        record = self.get_object(request, unquote(object_id))
        if record is None:
            messages.warning(request, f"There is no {self.opts.verbose_name} {object_id} that you may see.")
            return redirect(model_page(self.model, "changelist"))
        if not self.has_view_permission(request, record):
            raise Forbidden
        _in_tenant_of(request, record)
        if self.masks_page and masking.hides(principal_of(request), record.tenant_id):
            return self._masked(request, record)
        if not self.detail_template:
            return super().change_view(request, object_id, form_url, extra_context)
        masking.mask(principal_of(request), [record], self.masked_fields)
        if request.method == "POST":
            return self.act(request, record)
        return self.page(request, record)

    def _masked(self, request: HttpRequest, record: Any) -> HttpResponse:
        """The page of a record that consists of payloads, without them. Nothing is decided there unseen."""
        if request.method == "POST":
            raise Forbidden
        title = f"{capfirst(self.opts.verbose_name)} {record.pk}"
        context = self.page_context(request, title) | {"original": record, "task": getattr(record, "workflow_id", None)}
        return TemplateResponse(request, "agentapp/masked.html", context)

    def page(self, request: HttpRequest, record: Any, *, status: int = 200, **typed: Any) -> HttpResponse:
        """Render the record's page; `typed` keeps what the person had entered when a service refused it."""
        context = self.page_context(request, str(record)) | {"original": record, "typed": typed}
        return TemplateResponse(request, self.detail_template, context | self.context(request, record), status=status)

    def page_context(self, request: HttpRequest, title: str) -> dict[str, Any]:
        """What the frame of every admin page needs."""
        scopes = principal_of(request).scopes
        frame = {"opts": self.opts, "title": title, "media": self.media, "scopes": scopes}
        return self.admin_site.each_context(request) | frame

    def context(self, request: HttpRequest, record: Any) -> dict[str, Any]:
        """What the detail template shows beyond the record itself."""
        return {}

    def act(self, request: HttpRequest, record: Any) -> HttpResponse:
        """Answer a form of the detail template by calling a service."""
        raise Forbidden


class TenantFilter(admin.SimpleListFilter):
    """Filter by tenant, offering only those that the visitor may see (Django's own would list them all)."""

    title = "tenant"
    parameter_name = "tenant"

    def lookups(self, request: HttpRequest, model_admin: AnyModelAdmin) -> list[tuple[str, str]]:
        tenants = visible_tenants(request)
        return [(slug, slug) for slug in tenants.values_list("slug", flat=True)[:100]]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(tenant__slug=self.value()) if self.value() else queryset


class DrillFilter(admin.SimpleListFilter):
    """What belongs to drills is left out unless somebody asks for it, or for its tenant."""

    title = "drills"
    parameter_name = "drill"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("1", "with drills")]

    def choices(self, changelist: Any) -> Iterator[Any]:
        without, *others = super().choices(changelist)
        yield without | {"display": "without drills"}
        yield from others

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset if with_drill(request) else operations.without_drill(queryset)


def with_drill(request: HttpRequest) -> bool:
    """Whether somebody asked for what belongs to drills."""
    return request.GET.get("drill") == "1" or request.GET.get("tenant") == DRILL


class TextFilter(admin.AllValuesFieldListFilter):
    """Filter by the texts that a column holds; the empty one has a name too."""

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        for choice in super().choices(changelist):
            yield choice | {"display": choice["display"] or "none"}


def visible_tenants(request: HttpRequest, *, scope: str = "") -> QuerySet[Tenant]:
    """The tenants that the visitor may see, or in which they hold a scope, by slug."""
    principal = principal_of(request)
    tenant_ids = principal.tenants_with(scope) if scope else principal.tenant_ids
    tenants = Tenant.objects.order_by("slug")
    return tenants if tenant_ids is None else tenants.filter(pk__in=tenant_ids)


def model_page(model: type[Model], name: str) -> str:
    """The name of an admin page's URL: `model_page(Workflow, "change")`."""
    return f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}"
