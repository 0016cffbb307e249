"""Pages of records that people make, change and delete in forms, each only as they have read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied as Forbidden
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse

from agentapp.admin import form
from agentapp.admin.base import REFUSALS, ReadOnlyAdmin, model_page, principal_of, refuse
from agentapp.admin.platform import PlatformAdmin
from agentapp.errors import IllegalMove, InvalidInput


class FormAdmin(ReadOnlyAdmin):
    """A form is shown by `page`: with what was typed (`entered`), what is wrong with it (`errors`), and what its reader
    has seen (`as_read`) where it is shown once more. `save` answers it."""

    # The module of its fields: their NAMES, what they show of a record, and their groups.
    layout: Any = None

    def fresh(self, request: HttpRequest) -> Any:
        """A record that nobody has filled in yet."""
        return self.model()

    def shown(self, record: Any) -> Mapping[str, str]:
        """What the fields of a record show."""
        shown: Mapping[str, str] = self.layout.shown(record)
        return shown

    def groups(self, request: HttpRequest, record: Any, entered: Mapping[str, str], errors: Mapping[str, str]) -> Any:
        """The fields in groups, as `form.filled` returns them."""
        return self.layout.groups(entered, errors)

    def save(self, request: HttpRequest, record: Any) -> HttpResponse:
        """Save what was typed of a record, or of a new one."""
        raise NotImplementedError

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_add_permission(request):
            raise Forbidden
        fresh = self.fresh(request)
        return self.save(request, fresh) if request.method == "POST" else self.page(request, fresh)

    def page(self, request: HttpRequest, record: Any, *, status: int = 200, **typed: Any) -> HttpResponse:
        entered, errors = typed.get("entered") or self.shown(record), typed.get("errors") or {}
        context = self.page_context(request, "") | {
            "original": None if record._state.adding else record,
            "as_read": typed.get("as_read"),
            "groups": self.groups(request, record, entered, errors),
            "wrong": [(name, message) for name, message in errors.items() if name not in self.layout.NAMES],
            "can_write": self.has_add_permission(request),
        }
        return TemplateResponse(request, self.detail_template, context | self.context(request, record), status=status)

    def not_saved(
        self, request: HttpRequest, record: Any, error: Exception, entered: Mapping[str, str]
    ) -> HttpResponse:
        """The form once more with what was typed, and beside it what is wrong, or what somebody else has saved."""
        if isinstance(error, InvalidInput):
            errors = {item["field"].partition(".")[0]: item["message"] for item in error.errors}
            messages.error(request, "Nothing was saved. Correct what is marked." if errors else str(error))
            seen = form.seen(request.POST)
            return self.page(request, record, status=422, entered=entered, errors=errors, as_read=seen)
        errors = {}
        if isinstance(error, IllegalMove):
            record = self.model._default_manager.filter(pk=record.pk).first() or record
            errors = form.saved_meanwhile(entered, self.shown(record))
        return self.page(request, record, status=refuse(request, error), entered=entered, errors=errors)


class PlatformFormAdmin(FormAdmin, PlatformAdmin):
    """Records of the platform, which `service` saves and deletes, with a reason."""

    service: Any

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.has_write_permission(request)

    def values(self, entered: Mapping[str, str], record: Any) -> dict[str, Any]:
        """What the service is given."""
        values: dict[str, Any] = self.layout.values(entered)
        return values

    def saved(self, request: HttpRequest, record: Any) -> None:
        """Say what was saved."""
        raise NotImplementedError

    def deleted(self, record: Any) -> str:
        """What is said of a record that is gone."""
        raise NotImplementedError

    def act(self, request: HttpRequest, record: Any) -> HttpResponse:
        if request.POST.get("action") != "delete":
            return self.save(request, record)
        reason, as_read, words = request.POST.get("reason", ""), form.as_read(request.POST), self.deleted(record)
        try:
            self.service.delete(principal_of(request), record, reason=reason, as_read=as_read)
        except REFUSALS as error:
            return self.page(request, record, status=refuse(request, error))
        messages.success(request, words)
        return redirect(model_page(self.model, "changelist"))

    def save(self, request: HttpRequest, record: Any) -> HttpResponse:
        entered, as_read = form.typed(request.POST, self.layout.NAMES), form.as_read(request.POST)
        values = self.values(entered, record)
        try:
            saved = self.service.save(principal_of(request), record, values, reason=entered["reason"], as_read=as_read)
        except REFUSALS as error:
            return self.not_saved(request, record, error, entered)
        self.saved(request, saved)
        return redirect(model_page(self.model, "change"), saved.pk)
