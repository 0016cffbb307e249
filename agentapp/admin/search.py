"""The page of results of the search box that stands on every page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.views.decorators.http import require_safe

from agentapp import ids
from agentapp.admin import cells, masking
from agentapp.admin.base import model_page, principal_of
from agentapp.models import Approval, Artifact, Effect, Job, Memory, ModelCall, WebhookDelivery, Workflow
from agentapp.services import search
from agentapp.services.principals import Principal


@dataclass(frozen=True)
class Hit:
    """A link, and what tells it from others."""

    title: str
    url: str
    state: SafeString | str
    tenant: str
    moment: Any


@dataclass(frozen=True)
class Group:
    """The hits of one kind; `all_url` leads to the list, where there are more."""

    name: str
    hits: list[Hit]
    more: bool
    all_url: str


@require_safe
def results(request: HttpRequest) -> HttpResponse:
    """What a text finds, by kind. A whole id that finds one record opens it."""
    text = request.GET.get("q", "").strip()
    principal = principal_of(request)
    groups = [_group(principal, each, text) for each in search.everything(principal, text)] if text else []
    if ids.parsed(text) and [len(group.hits) for group in groups] == [1]:
        return redirect(groups[0].hits[0].url)
    context = {"title": "Search", "q": text, "groups": groups}
    return TemplateResponse(request, "agentapp/search.html", admin.site.each_context(request) | context)


page = admin.site.admin_view(results)


def _group(principal: Principal, found: search.Found, text: str) -> Group:
    names = found.model._meta.verbose_name_plural
    name = "dead letters" if found.model is Job and all(row.state == "dead_lettered" for row in found.rows) else names
    return Group(
        str(capfirst(name)), list(_hits(principal, found)), found.more, _list_of(found, text) if found.more else ""
    )


def _list_of(found: search.Found, text: str) -> str:
    if found.model is Job:
        query = {"fingerprint": found.fingerprint} if found.fingerprint else {"q": text}
        return f"{reverse('admin:agentapp_deadletter_changelist')}?{urlencode(query)}"
    if found.model not in admin.site._registry:
        return ""
    return f"{reverse(model_page(found.model, 'changelist'))}?{urlencode({'q': text})}"


def _hits(principal: Principal, found: search.Found) -> Iterator[Hit]:
    for row in found.rows:
        is_hidden = masking.hides(principal, row.tenant_id)
        state = cells.badge(row.state) if getattr(row, "state", "") else ""
        moment = next((value for name in _MOMENTS if (value := getattr(row, name, None)) is not None), None)
        yield Hit(_title(row, is_hidden=is_hidden), _url(row), state, str(row.tenant or "all"), moment)


# Their names tell what payloads say.
_NAMED_BY_PAYLOADS = (Approval, Artifact, Effect, Memory, ModelCall, WebhookDelivery)
_MOMENTS = ("finished_at", "created_at", "started_at", "prepared_at", "valid_from")


def _title(row: Any, *, is_hidden: bool) -> str:
    if isinstance(row, Workflow):
        return row.kind if is_hidden else f"{cells.headline(row.input) or row.kind} ({row.kind})"
    if isinstance(row, Job):
        error = (row.error or {}).get("class", "")
        return f"{row.type}: {error}" if error else f"{row.type} of {row.workflow.kind}"
    if is_hidden and isinstance(row, _NAMED_BY_PAYLOADS):
        return str(row.pk)
    return cells.headline(row.content if isinstance(row, Approval) else str(row), limit=100) or str(row.pk)


def _url(row: Any) -> str:
    """The page of a record. A job that is no dead letter stands on the page of its task."""
    if not isinstance(row, Job):
        return reverse(model_page(row, "change"), args=(row.pk,))
    if row.state == "dead_lettered":
        return reverse("admin:agentapp_deadletter_change", args=(row.pk,))
    return f"{reverse('admin:agentapp_workflow_change', args=(row.workflow_id,))}#job-{row.pk}"
