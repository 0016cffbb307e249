"""Every operation of the OpenAPI document: what it answers, to whom, and that nobody else is answered. (INV10)"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.test import override_settings
from pytest_django import DjangoDbBlocker, Settings

from agentapp import clock
from agentapp.models import ApiKey, Gate, GateChange, History, Limit, Tenant, Workflow
from agentapp.policies.permissions import API_SCOPES, OPERATOR_SCOPES
from agentapp.services import api_keys, tenants
from tests.api import operations
from tests.api.conftest import Api, problem_of
from tests.api.operations import Documented

pytestmark = pytest.mark.django_db
UUID_LENGTH = 36
ALL = operations.documented()
WITH_KEY = [operation for operation in ALL if not operation.is_open]
OF_OPERATORS = [operation for operation in WITH_KEY if {*operation.scopes} & {*OPERATOR_SCOPES}]
OF_TENANTS = [
    operation for operation in WITH_KEY if not {*operation.scopes} & {*OPERATOR_SCOPES} and not operation.row.is_shared
]


# Addresses that clients name are of this machine, and nothing is embedded.
OUTSIDE: dict[str, Any] = {
    "AGENTAPP_WEBHOOK_ALLOWED_NETWORKS": [ipaddress.ip_network("127.0.0.0/8")],
    "AGENTAPP_EMBEDDING_URL": "",
    "AGENTAPP_EMBEDDING_MODEL": "",
}


def named(operations: list[Documented]) -> Any:
    """Run a test once for each of these operations."""
    return pytest.mark.parametrize("operation", operations, ids=lambda operation: operation.id)


@dataclass(frozen=True)
class World:
    """A tenant with one record of each noun, whose ids are `known`, and another tenant that has none."""

    tenant: Tenant
    other_tenant: Tenant
    known: dict[str, str]
    # With every scope; with every scope of a tenant; the same of the other tenant.
    almighty: Api
    api: Api
    other_api: Api


@pytest.fixture(scope="module")
def standing(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[World]:
    """The records are made once: what a test does to them is rolled back."""
    with django_db_blocker.unblock(), transaction.atomic(), override_settings(**OUTSIDE):
        tenant = tenants.create(slug="sample", name="Sample Company")
        other_tenant = tenants.create(slug="other", name="Other Company")
        almighty, api, other_api = (
            Api(api_keys.create(tenant=of, name="all", scopes=scopes)[1])
            for of, scopes in (
                (tenant, [*API_SCOPES, *OPERATOR_SCOPES]), (tenant, [*API_SCOPES]), (other_tenant, [*API_SCOPES])
            )
        )  # fmt: skip
        known = operations.records(almighty, tenant)
        yield World(tenant, other_tenant, known, almighty, api, other_api)
        transaction.set_rollback(True)


@pytest.fixture
def world(standing: World, db: None, settings: Settings) -> World:
    for name, value in OUTSIDE.items():
        setattr(settings, name, value)
    return standing


def test_every_operation_has_a_row_and_every_row_an_operation() -> None:
    assert sorted(operations.ROWS) == sorted(operation.id for operation in ALL)
    assert len(OF_TENANTS) > 20 and len(OF_OPERATORS) > 10


@named([operation for operation in ALL if operation.statuses - operation.row.elsewhere])
def test_each_documented_success_is_answered(operation: Documented, world: World) -> None:
    """The client compares each answer with the document; this compares the document with the answers."""
    almighty, known, row = world.almighty, world.known, operation.row
    operations.prepare(operation, almighty, known)
    path = operations.address(operation, known)

    asked = [(number, query) for number in range(len(row.bodies)) for query in row.queries]
    answers = [operations.ask(almighty, operation, path, number=number, query=query) for number, query in asked]

    assert {str(answer.status_code) for answer in answers} == operation.statuses - row.elsewhere, answers[0].content


@named(WITH_KEY)
def test_a_key_that_is_missing_revoked_or_expired_opens_nothing(operation: Documented, world: World) -> None:
    known, tenant = world.known, world.tenant
    before = state_of(tenant)
    revoked, revoked_token = api_keys.create(tenant=tenant, name="revoked", scopes=[*API_SCOPES, *OPERATOR_SCOPES])
    api_keys.revoke(revoked)
    expired, expired_token = api_keys.create(tenant=tenant, name="expired", scopes=[*API_SCOPES, *OPERATOR_SCOPES])
    ApiKey.objects.filter(pk=expired.pk).update(expires_at=clock.now() - timedelta(seconds=1))

    for token in ("", revoked_token, expired_token, revoked_token[:-1] + "-"):
        for path in (operations.address(operation, known), *nobodys(operation, known)):
            answer = operations.ask(Api(token), operation, path)
            problem_of(answer, 401)
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert state_of(tenant) == before


@named([operation for operation in WITH_KEY if operation.scopes])
def test_the_documented_scopes_are_those_that_are_enforced(operation: Documented, world: World) -> None:
    known, tenant = world.known, world.tenant
    before = state_of(tenant)
    for scope in operation.scopes:
        others = sorted({*API_SCOPES, *OPERATOR_SCOPES} - {scope})
        without = Api(api_keys.create(tenant=tenant, name="others", scopes=others)[1])
        for path in (operations.address(operation, known), *nobodys(operation, known)):
            assert scope in problem_of(operations.ask(without, operation, path), 403)["detail"]
    assert state_of(tenant) == before

    enough = Api(api_keys.create(tenant=tenant, name="enough", scopes=list(operation.scopes))[1])
    answer = operations.ask(enough, operation, operations.address(operation, known))
    assert answer.status_code not in (401, 403), answer.content


@named(OF_TENANTS)
def test_another_tenant_finds_nothing_and_changes_nothing(operation: Documented, world: World) -> None:
    known, stranger = world.known, world.other_api
    before = state_of(world.tenant)
    path = operations.address(operation, known)
    if is_list(operation):
        assert operations.ask(world.api, operation, path).json()["results"]
        assert operations.ask(stranger, operation, path).json() == {"results": [], "next": None}

    for query in operation.row.queries:
        answer = operations.ask(stranger, operation, path, query=query)
        words = answer.content.decode()
        if operation.names:
            nobody = operations.absent(operation, known)
            unknown = problem_of(operations.ask(stranger, operation, nobody), 404)
            theirs = json.dumps(problem_of(answer, 404))
            assert theirs.replace(last(path, operation), "ID") == json.dumps(unknown).replace(
                last(nobody, operation), "ID"
            )
        ids = [
            known[noun]
            for noun in (
                "task",
                "job",
                "letter",
                "approval",
                "bulk",
                "cancellation",
                "artifact",
                "document",
                "endpoint",
                "delivery",
            )
        ]
        told = words.replace(last(path, operation), "") if operation.names else words
        assert operations.SECRET not in told and not [identifier for identifier in ids if identifier in told]
    assert state_of(world.tenant) == before


@named(OF_OPERATORS)
def test_what_is_of_operators_is_closed_to_every_tenant(operation: Documented, world: World) -> None:
    other_tenant = world.other_tenant
    known = world.known | {"name": other_tenant.slug}
    before = state_of_the_platform()

    for path in (operations.address(operation, known), *nobodys(operation, known)):
        detail = problem_of(operations.ask(world.api, operation, path), 403)["detail"]
        assert any(scope in detail for scope in OPERATOR_SCOPES) and other_tenant.slug not in detail
    assert state_of_the_platform() == before


def is_list(operation: Documented) -> bool:
    """Tell whether an operation lists records of a tenant."""
    return operation.id.startswith("list_") and not operation.names and bool(operation.scopes)


def nobodys(operation: Documented, known: dict[str, str]) -> list[str]:
    """Return the address of what nobody has, where the address names a record."""
    return [operations.absent(operation, known)] if operation.names else []


def last(path: str, operation: Documented) -> str:
    """Return the id in a path."""
    before, _, after = operation.path.rpartition(f"{{{operation.names[-1]}}}")
    return path[len(before) : len(path) - len(after) or None]


def state_of(tenant: Tenant) -> Any:
    """Return what a forbidden request must leave as it is."""
    tasks = list(Workflow.objects.filter(tenant=tenant).order_by("id").values_list("id", "state", "seq"))
    return tasks, History.objects.filter(workflow__tenant=tenant).count()


def state_of_the_platform() -> Any:
    """Return what a forbidden request of a tenant must leave as it is."""
    rows = (Limit.objects.order_by("key"), Gate.objects.order_by("id"), GateChange.objects.order_by("id"))
    return [list(found.values()) for found in rows]
