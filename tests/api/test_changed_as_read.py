"""What people change is changed only as they have read it, where they say so: nobody undoes what another did."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from pytest_django import Settings

from agentapp.api import conditional, openapi
from agentapp.errors import IllegalMove
from agentapp.models import Tenant, ToolServer
from agentapp.policies.permissions import API_SCOPES, OPERATOR_SCOPES
from agentapp.services import schedules, tool_servers, webhooks
from agentapp.services.principals import Principal
from tests.api.conftest import Api, problem_of

pytestmark = pytest.mark.django_db

OPERATOR = Principal(frozenset(OPERATOR_SCOPES), None)
CHANGING = {"put", "patch", "delete"}
PATHS = {path: methods for path, methods in openapi.current()["paths"].items() if methods.keys() & CHANGING}
# Why these need no If-Match.
EXCEPTIONS = {
    "/documents/{document_id}": "A document is replaced whole, by its source; it has no fields that people change.",
    "/memories/{memory_id}": "The id is that of one version: one that does not hold any more is a 409.",
    "/tool-servers/{server_id}/tools/{tool_id}": "The body names the sha256 of the description that was read.",
}
# What makes one of each, what changes it, and what a second one would change.
EVERY: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "/gates": ({"scope": "model", "pattern": "gpt-5*", "concurrency": 8}, {"concurrency": 2}, {"note": "mine"}),
    "/model-choices": ({"model": "gpt-5"}, {"temperature": 0.5}, {"note": "mine"}),
    "/approval-policies": ({"name": "two"}, {"quorum": 2}, {"note": "mine"}),
    "/tool-servers": (
        {"tenant": "acme", "name": "shop", "url": "https://8.8.8.8/mcp"},
        {"url": "https://8.8.4.4/mcp"},
        {"note": "mine"},
    ),
    "/schedules": (
        {"name": "Often", "kind": "probe_fan", "input": {"parts": [1]}, "every_s": 600, "deadline_s": 60},
        {"labels": {"team": "night"}, "deadline_s": 90},
        {"name": "Mine"},
    ),
    "/webhook-endpoints": ({"url": "https://8.8.8.8/hook"}, {"is_enabled": False}, {"description": "mine"}),
}


def takes(operation: Any, header: str) -> bool:
    return header in {parameter.get("name") for parameter in operation.get("parameters", ())}


def test_every_resource_that_can_be_changed_takes_if_match_or_says_why_not() -> None:
    without = {
        path for path, methods in PATHS.items()
        if not ("304" in methods["get"]["responses"] and takes(methods["get"], "If-None-Match"))
        or not all(
            "412" in methods[name]["responses"] and takes(methods[name], "If-Match")
            for name in methods.keys() & CHANGING
        )
    }  # fmt: skip

    assert without == EXCEPTIONS.keys()
    assert {path.rpartition("/")[0] for path in PATHS.keys() - without} == EVERY.keys()


@pytest.mark.parametrize("address", EVERY)
def test_of_two_who_change_the_same_at_once_the_second_undoes_nothing(
    address: str, tenant: Tenant, make_key: Callable[..., Any]
) -> None:
    token = make_key(tenant, *API_SCOPES, *OPERATOR_SCOPES)[1]
    api, (new, change, other) = Api(token), EVERY[address]
    made = api.post(address, new | ({"tenant": tenant.slug} if "tenant" in new else {}))
    path = f"{address}/{made.json()['id']}"
    first = api.get(path).headers["ETag"]
    late = Api(token, **{"If-Match": first, "If-None-Match": first})
    assert late.get(path).status_code == 304

    changed = late.patch(path, change)
    assert (changed.status_code, changed.headers["ETag"]) == (200, api.get(path).headers["ETag"])
    refused = [late.patch(path, other), late.delete(path)]
    if any("put" in methods for place, methods in PATHS.items() if place.rpartition("/")[0] == address):
        refused.append(late.put(path, new | other))
    for answer in refused:
        assert problem_of(answer, 412)["type"] == "/problems/precondition-failed"
    assert api.get(path).json() == late.get(path).json() == changed.json()
    again = Api(token, **{"If-Match": f'"x", {changed.headers["ETag"]}'})
    assert again.patch(path, other).status_code == 200
    problem_of(again.delete(path), 412)
    assert api.delete(path).status_code == 204


def test_a_tag_is_keyed_so_that_it_does_not_tell_what_is_masked(settings: Settings) -> None:
    shown = {"input": {"subject": "Invoices"}}
    known = conditional.tag(shown)
    settings.SECRET_KEY = "that of another installation"
    assert conditional.tag(shown) != known


def test_what_a_change_returns_is_what_is_read_afterwards(principal: Principal) -> None:
    made = schedules.create(principal, EVERY["/schedules"][0])
    changed = schedules.change(principal, made.pk, {"deadline_s": 90})
    assert repr(changed.deadline_s) == repr(schedules.get(principal, made.pk).deadline_s) == "90.0"


def test_what_somebody_changes_between_the_look_and_the_lock_is_not_undone(
    tenant: Tenant, principal: Principal
) -> None:
    schedule = schedules.create(principal, EVERY["/schedules"][0])
    endpoint, _ = webhooks.create(principal, url="https://8.8.8.8/hook")
    server = tool_servers.save(OPERATOR, ToolServer(), EVERY["/tool-servers"][0] | {"tenant": tenant.slug})
    changes: list[tuple[Any, Callable[..., Any], Callable[..., Any]]] = [
        (
            schedule,
            partial(schedules.change, principal, schedule.pk, {"name": "Mine"}),
            partial(schedules.delete, principal, schedule.pk),
        ),
        (
            endpoint,
            partial(webhooks.change, principal, endpoint.pk, {"description": "mine"}),
            partial(webhooks.delete, principal, endpoint.pk),
        ),
        (
            server,
            partial(tool_servers.save, OPERATOR, server, {"note": "mine"}),
            partial(tool_servers.delete, OPERATOR, server),
        ),
    ]

    for row, change, delete in changes:
        first = row.updated_at
        change(as_read=first)
        row.refresh_from_db()
        second = row.updated_at
        for undoes in (change, delete):
            with pytest.raises(IllegalMove, match="Somebody has changed this"):
                undoes(as_read=first)
        row.refresh_from_db()
        assert row.updated_at == second != first
        delete(as_read=second)
        assert not type(row).objects.exists()
