"""Row-level security: a role that is bound to the tenant context sees and writes the rows of its tenants alone. [H4]"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest
from django.apps import apps
from django.contrib.auth.models import Permission, User
from django.contrib.postgres.search import SearchQuery
from django.db import DatabaseError, connection, models, transaction
from django.test import Client
from django.urls import reverse

from agentapp.lifecycle import tenant_context
from agentapp.lifecycle.roles import policies, row_decisions
from agentapp.models import (
    Approval,
    AuditEntry,
    Document,
    History,
    Job,
    Membership,
    ModelChoice,
    SearchEntry,
    Tenant,
    Workflow,
)
from agentapp.models.workflow import labelled
from agentapp.services import task_filters, workflows
from agentapp.services.principals import Principal
from tests.privileges import roles
from tests.privileges.test_roles import tables
from tests.retention.filling import fill

pytestmark = pytest.mark.django_db
Rows = dict[type[models.Model], models.Model]
REFUSED = "42501"


@pytest.fixture
def world(tenant: Tenant, other_tenant: Tenant, admin_user: User) -> tuple[Rows, Rows]:
    """One row of every table for each of two tenants, and the web's role, which may do everything with all tables: what
    it is refused, policies refuse."""
    roles.make_bound()
    mine, theirs = ({**fill(each, admin_user), Tenant: each} for each in (tenant, other_tenant))
    # What filling has left there is of nobody here.
    AuditEntry.objects.all().delete()
    for each, rows in ((tenant, mine), (other_tenant, theirs)):
        rows[AuditEntry] = AuditEntry.objects.create(
            at=each.created_at, tenant_number=each.pk, source="test", source_key=each.slug, detail_sha256="0" * 64
        )
    with connection.cursor() as cursor:
        cursor.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {roles.role('web').name}")
    return mine, theirs


@contextmanager
def as_web(*tenants: Tenant) -> Iterator[None]:
    with roles.session_of("web"), tenant_context.of([tenant.pk for tenant in tenants]):
        yield


def bound(world: Rows) -> list[type[models.Model]]:
    return [model for model in world if model._meta.db_table in policies.tables()]


def refused(statement: Any) -> bool:
    """Whether policies refuse it. It changes nothing."""
    try:
        with transaction.atomic():
            statement()
            transaction.set_rollback(True)
    except DatabaseError as error:
        assert getattr(error.__cause__, "sqlstate", "") == REFUSED, error
        return True
    return False


def test_every_table_has_a_decision() -> None:
    """A new one fails here until somebody has decided whose its rows are."""
    ours = {table for table in tables() if table.startswith("agentapp_")}
    decided = [*row_decisions.BY_COLUMN, *row_decisions.BY_PARENT, *row_decisions.NOT_BOUND]

    assert sorted(decided) == sorted(ours)
    with_tenant = {model._meta.db_table for model in apps.get_models() if "tenant_id" in columns(model)}
    assert not with_tenant & {*row_decisions.NOT_BOUND}


def columns(model: type[models.Model]) -> set[str | None]:
    return {field.column for field in model._meta.concrete_fields}


def test_policies_stand_where_they_were_decided_and_may_be_made_again() -> None:
    def found() -> list[Any]:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT c.relname, c.relrowsecurity, c.relforcerowsecurity, count(*) FROM pg_class c"
                " JOIN pg_policy p ON p.polrelid = c.oid GROUP BY 1, 2, 3"
            )
            return sorted(cursor.fetchall())

    roles.make_bound()
    before = found()
    roles.make_bound()

    assert found() == before
    # One for everybody, and the restrictive one, of which shared tables have one for each command.
    assert before == sorted(
        (table, True, False, 5 if table in row_decisions.SHARED else 2) for table in policies.tables()
    )


def test_no_row_is_seen_without_a_context_and_those_of_its_tenants_with_one(
    world: tuple[Rows, Rows], tenant: Tenant, other_tenant: Tenant
) -> None:
    mine, theirs = world
    assert len(bound(mine)) == len(policies.tables())

    def seen(*tenants: Tenant) -> dict[str, set[Any]]:
        with as_web(*tenants):
            return {model.__name__: set(model._default_manager.values_list("pk", flat=True)) for model in bound(mine)}

    def keys(*rows: Rows) -> dict[str, set[Any]]:
        return {model.__name__: {each[model].pk for each in rows} for model in bound(mine)}

    assert seen() == {name: set() for name in keys(mine)}
    assert seen(tenant) == keys(mine)
    assert seen(other_tenant) == keys(theirs)
    assert seen(tenant, other_tenant) == keys(mine, theirs)
    with roles.session_of("web"), tenant_context.platform_rows():
        everything = {model.__name__: set(model._default_manager.values_list("pk", flat=True)) for model in bound(mine)}
    assert everything == keys(mine, theirs)


def test_no_row_of_another_tenant_is_written(world: tuple[Rows, Rows], tenant: Tenant, other_tenant: Tenant) -> None:
    mine, theirs = world
    for model in bound(mine):
        own, foreign = mine[model], theirs[model]
        field = next(each for each in model._meta.concrete_fields if not each.primary_key)
        moved = mover(model, theirs)
        with transaction.atomic():
            # Policies are asked before any key is: the row may be there already.
            with as_web(tenant):
                assert refused(lambda row=foreign: row.save_base(force_insert=True)), model
                kept = model._default_manager.filter(pk=foreign.pk)
                assert kept.update(**{field.attname: getattr(foreign, field.attname)}) == 0, model
                assert kept._raw_delete(kept.db) == 0, model
                change = model._default_manager.filter(pk=own.pk)
                assert refused(lambda rows=change, to=moved: rows.update(**to)), model
            with as_web(other_tenant):
                again = model._default_manager.filter(pk=foreign.pk)
                assert again.update(**{field.attname: getattr(foreign, field.attname)}) == 1, model
            transaction.set_rollback(True)


def mover(model: type[models.Model], theirs: Rows) -> dict[str, Any]:
    """What would give a row to the other tenant."""
    table = model._meta.db_table
    column = row_decisions.BY_COLUMN.get(table) or row_decisions.BY_PARENT[table][0]
    field = next(each for each in model._meta.concrete_fields if each.column == column)
    return {field.attname: getattr(theirs[model], field.attname)}


def test_what_is_for_all_tenants_each_may_read_and_none_may_write(world: tuple[Rows, Rows], tenant: Tenant) -> None:
    shared = ModelChoice.objects.create(tenant=None, job_type="any", model="m", limit_name="m")
    rows = ModelChoice.objects.filter(pk=shared.pk)

    with as_web(tenant):
        assert rows.get().model == "m"
        assert rows.update(model="n") == 0
        assert refused(lambda: ModelChoice.objects.create(tenant=None, job_type="other", model="m", limit_name="m"))
    with as_web():
        assert rows.count() == 1
    with roles.session_of("web"), tenant_context.platform_rows():
        assert rows.update(model="n") == 1


def test_other_roles_see_what_they_saw(world: tuple[Rows, Rows]) -> None:
    for process in ("dispatcher", "worker_model"):
        with roles.session_of(process):
            assert Workflow.objects.count() == 2, process


def test_what_reads_many_rows_in_pieces_is_bound_too(
    world: tuple[Rows, Rows], tenant: Tenant, other_tenant: Tenant
) -> None:
    with as_web(tenant):
        pieces = Workflow.objects.iterator(chunk_size=1)
        # Whose rows they are is decided when they are asked for.
        with tenant_context.of([other_tenant.pk]):
            assert [task.tenant_id for task in pieces] == [other_tenant.pk]
        with connection.cursor() as cursor:
            cursor.executemany(
                "UPDATE agentapp_workflow SET labels = '{}' WHERE tenant_id = %s", [[tenant.pk], [other_tenant.pk]]
            )
            assert cursor.rowcount == 1


def test_after_an_error_or_a_savepoint_the_context_is_as_it_was(
    world: tuple[Rows, Rows], tenant: Tenant, other_tenant: Tenant
) -> None:
    with as_web(tenant):
        for _ in range(2):
            with pytest.raises(DatabaseError), tenant_context.platform_rows(), transaction.atomic():
                assert Workflow.objects.count() == 2
                with connection.cursor() as cursor:
                    cursor.execute("SELECT 1 / 0")
            assert Workflow.objects.get().tenant_id == tenant.pk
        with tenant_context.of([other_tenant.pk]):
            assert Workflow.objects.get().tenant_id == other_tenant.pk
        assert Workflow.objects.get().tenant_id == tenant.pk


# What is read by which index, and what is looked for there.
def lists(principal: Principal) -> dict[str, tuple[Any, str, str]]:
    tasks = workflows.listing(principal)
    return {
        "tasks": (tasks.order_by("-id")[:51], "workflow_list", "tenant_id"),
        "task": (tasks.filter(pk=uuid_of(1)), "workflow_list", "id ="),
        "found": (task_filters.saying(principal, tasks, "word").order_by("-id")[:51], "workflow_list", "tenant_id"),
        "labels": (Workflow.objects.filter(labelled({"from": "website"})), "workflow_by_label", "labels"),
        "events": (History.objects.filter(workflow=uuid_of(1))[:100], "agentapp_history", "workflow_id"),
        "jobs": (principal.visible(Job.objects.filter(workflow=uuid_of(1))), "job_of_stage", "workflow_id"),
        "approvals": (
            principal.visible(Approval.objects.filter(state="pending")).order_by("id")[:51], "approval_inbox",
            "tenant_id",
        ),
        "documents": (principal.visible(Document.objects.filter(collection="a"))[:51], "document_collection", "tenant"),
        "words": (SearchEntry.objects.filter(words=SearchQuery("word", config="simple")), "search_words", "words"),
    }  # fmt: skip


def uuid_of(number: int) -> UUID:
    return UUID(int=number)


def test_lists_are_read_by_their_indexes_and_the_context_once(principal: Principal) -> None:
    roles.make_bound()
    with connection.cursor() as cursor:
        # A table that is nearly empty is read whole otherwise. What an index must not be used for is read whole anyway.
        cursor.execute("SET LOCAL enable_seqscan = off")
        # As docs/howto/least_privilege.md says.
        cursor.execute("ALTER FUNCTION pg_catalog.jsonb_contains(jsonb, jsonb) LEAKPROOF")
    for name, (rows, index, column) in lists(principal).items():
        with roles.session_of("web"), tenant_context.of(principal.tenant_ids):
            plan = json.loads(rows.explain(format="json"))

        found = list(nodes(plan[0]["Plan"]))
        looks = [node for node in found if str(node.get("Index Name", "")).startswith(index)]
        assert looks and column in looks[0]["Index Cond"], (name, plan)
        assert not [node for node in found if node["Node Type"] == "Seq Scan"], (name, plan)
        # The context is read by a plan of its own, once, and not for each row.
        conditions = [str(node.get("Filter", "")) for node in found]
        assert name == "words" or [text for text in conditions if "CASE WHEN" in text], (name, plan)
        assert not [text for text in conditions if "current_setting" in text or "::bigint[]" in text], (name, plan)


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes(inner)


def test_staff_do_what_django_lets_them_beyond_their_tenants(tenant: Tenant, other_tenant: Tenant) -> None:
    roles.make_bound()
    person, other = (User.objects.create(username=name, is_staff=True) for name in ("person", "other"))
    person.user_permissions.set(
        Permission.objects.filter(codename__in=["add_tenant", "delete_user", "view_user", "change_user"])
    )
    Membership.objects.create(user=person, tenant=tenant, role="administrator")
    Membership.objects.create(user=other, tenant=other_tenant, role="administrator")
    client = Client()
    client.force_login(person)

    with roles.session_of("web"):
        made = client.post(reverse("admin:agentapp_tenant_add"), {"slug": "new", "name": "New"})
        # A membership of a tenant that they do not see stands in the way, as without.
        deleted = client.post(reverse("admin:auth_user_delete", args=[other.pk]), {"post": "yes"})

    assert (made.status_code, deleted.status_code) == (302, 403)
    assert Tenant.objects.filter(slug="new").exists() and User.objects.filter(pk=other.pk).exists()
