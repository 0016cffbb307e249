"""Every page for people: the lists, forms and records of the admin, and what stands beside them. With a record of each
kind, for tests that look at all of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import User
from django.test import RequestFactory
from django.urls import URLResolver, get_resolver, resolve, reverse

from agentapp import clock
from agentapp.models import Delegation, Tenant
from agentapp.policies.permissions import API_SCOPES, OPERATOR_SCOPES
from agentapp.services import api_keys, legal_holds, people, retention_rules
from tests.api import operations
from tests.api.conftest import Api

# Addresses that answer a script or a form, or nothing that people read.
NO_PAGES = {
    "overview", "saved_views", "switch", "admin:auth_user_sessions", "admin:agentapp_approval_watch",
    "admin:autocomplete", "admin:jsi18n", "admin:logout", "admin:view_on_site", "console_rows",
    "console_stream_token", "console_parts", "console_cancel", "console_say", "console_fork", "console_look_after",
    "console_replay",
}  # fmt: skip
# To some of these no page leads; the others each model has, or has not, by one rule.
NOT_NAMED = ("_add", "_history", "_delete", "admin:app_list", "admin:auth_user_password_change")


def records(tenant: Tenant) -> tuple[dict[str, str], dict[str, str]]:
    """Give a tenant a record of each kind. Return their ids by the names of models, and by the nouns of the API."""
    _, token = api_keys.create(tenant=tenant, name="all", scopes=[*API_SCOPES, *OPERATOR_SCOPES])
    known = operations.records(Api(token), tenant)
    key, _ = api_keys.create(tenant=tenant, name="of a client", scopes=["tasks:read"])
    member = people.add(name="member", tenant=tenant, role="viewer")[0]
    away, instead = (people.add(name=name, tenant=tenant, role="agent")[0].user for name in ("away", "instead"))
    until = clock.now() + timedelta(days=1)
    lent = Delegation.objects.create(tenant=tenant, user=away, delegate=instead, until=until, created_at=until)
    hold = legal_holds.place(tenant, on=legal_holds.cover(tenant), reason="case 7", by="a test")
    rule = retention_rules.keep(tenant=tenant, kind="", state="failed", days=1, reason="", by="a test")
    ids = {
        "apikey": str(key.pk), "approval": known["approval"], "approvalpolicy": known["policy"],
        "artifact": known["artifact"], "bulkcancellation": known["cancellation"], "bulkreplay": known["bulk"],
        "deadletter": known["letter"], "delegation": str(lent.pk), "document": known["document"],
        "gate": known["gate"], "legalhold": str(hold.pk), "retentionrule": str(rule.pk),
        "limit": f"tenant:{tenant.pk}", "membership": str(member.pk), "memory": known["memory"],
        "modelchoice": known["choice"], "schedule": known["schedule"], "tenant": str(tenant.pk),
        "toolserver": known["server"], "webhookdelivery": known["delivery"], "webhookendpoint": known["endpoint"],
        "workflow": known["task"],
    }  # fmt: skip
    return ids, known


def addresses(person: User, ids: dict[str, str], known: dict[str, str]) -> list[str]:
    """Return the address of each page that a person sees: of a model without an id the one of any record."""
    request = RequestFactory().get("/admin/")
    request.user = person
    found = [
        *map(reverse, ("home", "reference", "time_zone", "second_factor", "console")),
        *map(reverse, ("admin:index", "admin:login", "admin:password_change", "admin:password_change_done")),
        *map(reverse, ("admin:agentapp_approval_mails", "admin:agentapp_approval_equal")),
        f"{reverse('compare')}?before={known['task']}&after={known['task']}", f"{reverse('search')}?q=sample",
        reverse("console_new", args=("support_reply",)), reverse("console_task", args=(known["task"],)),
    ]  # fmt: skip
    for model, page in admin.site._registry.items():
        found += _of_model(model, page, ids, request)
    return found


def _of_model(model: Any, page: Any, ids: dict[str, str], request: Any) -> Iterator[str]:
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    yield reverse(f"{name}_changelist")
    if page.has_add_permission(request):
        yield reverse(f"{name}_add")
    record = ids.get(model._meta.model_name) or str(model._default_manager.latest("pk").pk)
    yield reverse(f"{name}_change", args=(record,))
    if not getattr(page, "detail_template", "") and page.has_view_permission(request):
        yield reverse(f"{name}_history", args=(record,))


def of_each_template(known: list[str]) -> list[str]:
    """Leave out lists and histories that look like others, and the longest page."""
    alike = {reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
             for model, page in admin.site._registry.items() if not page.change_list_template}  # fmt: skip
    alike -= {reverse("admin:agentapp_effect_changelist")}
    return [each for each in known if each not in alike | {reverse("reference")} and not each.endswith("/history/")]


def without_an_address(known: list[str]) -> set[str]:
    """Return the names of pages of which no address is known."""
    seen = {resolve(address.partition("?")[0]).view_name for address in known}
    return {name for name in {*_names(get_resolver().url_patterns)} - seen - NO_PAGES if not name.endswith(NOT_NAMED)}


def _names(patterns: list[Any]) -> Iterator[str]:
    for each in patterns:
        if not isinstance(each, URLResolver):
            yield from [each.name] if each.name else []
        elif str(each.pattern):  # at the root is the API alone
            namespace = f"{each.namespace}:" if each.namespace else ""
            yield from (f"{namespace}{name}" for name in _names(each.url_patterns))
