"""Nothing of an erased tenant is left, in no table and no store; nothing of another is touched."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path

import pytest
from axes.models import AccessAttempt
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db.models import Model
from django.test import Client
from django_otp.plugins.otp_totp.models import TOTPDevice

from agentapp.ids import uuid7
from agentapp.lifecycle import erase, holds
from agentapp.models import (
    Artifact,
    Chunk,
    Erasure,
    Gate,
    GateChange,
    LegalHold,
    Limit,
    Membership,
    Memory,
    SavedView,
    Tenant,
    Workflow,
)
from agentapp.models.artifact import artifact_storage
from agentapp.services import api_keys
from agentapp.services.api_keys import BadKey
from agentapp.services.principals import Principal
from tests.dispatch.test_pruner import full_task
from tests.harness import run_workflow
from tests.retention.filling import fill, of_tenants

pytestmark = pytest.mark.django_db(transaction=True)


def erased(slug: str = "sample") -> str:
    out = StringIO()
    call_command("erase_tenant", slug, "--yes", stdout=out)
    return out.getvalue()


def filled(tenant: Tenant, user: User) -> dict[type[Model], Model]:
    rows = fill(tenant, user)
    Workflow.objects.filter(pk=rows[Workflow].pk).update(finished_at=None, state="pending")
    rows.pop(LegalHold).delete()
    return rows


def gone(rows: dict[type[Model], Model]) -> dict[str, bool]:
    return {erase.name(model): not model._default_manager.filter(pk=row.pk).exists() for model, row in rows.items()}


def test_every_table_has_a_decision() -> None:
    decided: set[type[Model]] = {Tenant, Workflow, Artifact, *erase.WITH_TASK, *erase.ROWS, *erase.REFUSES}
    others: set[type[Model]] = {*erase.BY_NAME, *erase.BLANKED, *erase.STAYS}
    ours = {model for model in apps.get_models() if model.__module__.startswith("agentapp.") and not model._meta.proxy}

    assert {model.__name__ for model in of_tenants()} == {model.__name__ for model in decided - {Tenant}}, (
        "Say in agentapp/lifecycle/erase.py what becomes of the rows of this table when their tenant is erased."
    )
    assert ours - decided == others, "Does this table name a tenant? Say so in agentapp/lifecycle/erase.py."


def test_no_row_of_it_is_left_and_all_of_another_tenant(
    principal: Principal, other_tenant: Tenant, admin_user: User
) -> None:
    tenant = Tenant.objects.get(slug="sample")
    mine, others = filled(tenant, admin_user), filled(other_tenant, admin_user)
    task = full_task(principal)

    report = erased()

    assert set(gone(mine).values()) == {True}, gone(mine)
    assert set(gone(others).values()) == {False}, gone(others)
    assert not Tenant.objects.filter(slug="sample").exists()
    assert not artifact_storage().exists(str(task.pk))
    assert "The tenant sample is erased." in report
    record = Erasure.objects.get()
    assert record.finished_at is not None and record.tenant_number == tenant.pk
    assert record.removed["Workflow"] == 2 and record.removed["Tenant"] == 1
    assert all(record.removed[erase.name(model)] >= 1 for model in mine)
    assert [model.objects.exclude(embedding=None).count() for model in (Chunk, Memory)] == [1, 1], "of the other tenant"
    assert "sample" not in str(list(Erasure.objects.values())).replace("sample.test", "")


def test_what_names_it_by_a_text_goes_too(principal: Principal, other_tenant: Tenant, admin_user: User) -> None:
    tenant = Tenant.objects.get(slug="sample")
    Limit.objects.create(key=f"tenant:{tenant.pk}", scope="tenant", name="sample")
    kept = Limit.objects.create(key=f"tenant:{other_tenant.pk}", scope="tenant", name="other")
    Gate.objects.create(scope="tenant", pattern="sample", concurrency=1)
    for target in (f"tenant:{tenant.pk}", "person 1 in sample", "gate tenant sample"):
        GateChange.objects.create(at=tenant.created_at, actor="x", action="changed", target=target)
    GateChange.objects.create(at=tenant.created_at, actor="x", action="changed", target="x", after={"tenant": "sample"})
    stays = GateChange.objects.create(at=tenant.created_at, actor="x", action="changed", target="person 1 in other")
    for name, query in (("mine", "q=x&tenant=sample"), ("more", "tenant=sampler"), ("all", "state=failed")):
        SavedView.objects.create(user=admin_user, page="workflow", name=name, query=query)
    kind = ContentType.objects.get_for_model(Tenant)
    LogEntry.objects.create(
        user=admin_user, content_type=kind, object_id=str(tenant.pk), object_repr="s", action_flag=2
    )

    erased()

    assert [limit.key for limit in Limit.objects.filter(scope="tenant")] == [kept.key]
    assert not Gate.objects.filter(pattern="sample").exists() and not LogEntry.objects.exists()
    assert list(GateChange.objects.all()) == [stays]
    assert {view.name for view in SavedView.objects.all()} == {"more", "all"}


def test_who_belonged_to_it_alone_goes_with_all_of_the_account(principal: Principal, other_tenant: Tenant) -> None:
    tenant = Tenant.objects.get(slug="sample")
    people = {name: User.objects.create(username=name) for name in ("Ada", "bert", "root", "named", "own")}
    Membership.objects.bulk_create(Membership(user=each, tenant=tenant, role="viewer") for each in people.values())
    Membership.objects.create(user=people["bert"], tenant=other_tenant, role="viewer")
    User.objects.filter(username="root").update(is_superuser=True)
    people["own"].user_permissions.add(Permission.objects.all()[0])
    task = run_workflow(principal, "probe_loop")
    Workflow.objects.filter(pk=task.pk).update(user=people["Ada"])
    elsewhere = Workflow.objects.get(pk=task.pk)
    elsewhere.pk, elsewhere.tenant, elsewhere.user, elsewhere.api_key = uuid7(), other_tenant, people["named"], None
    elsewhere.save(force_insert=True)
    for name, person in people.items():
        Client().force_login(person)
        TOTPDevice.objects.create(user=person, name="app")
        SavedView.objects.create(user=person, page="workflow", name="failed", query="state=failed")
        AccessAttempt.objects.create(username=name.upper(), failures_since_start=1)
    LogEntry.objects.create(
        user=people["root"], content_type=ContentType.objects.get_for_model(User),
        object_id=str(people["Ada"].pk), object_repr="Ada", action_flag=2,
    )  # fmt: skip

    said = erased()

    stay = {"bert": "belongs to another", "root": "superuser", "named": "named by tasks", "own": "permissions"}
    assert {person.username for person in User.objects.all()} == stay.keys()
    assert all(re.search(f"The account {name} stays: it .*{why}", said) for name, why in stay.items()), said
    assert "Ada" not in said and not LogEntry.objects.exists()
    assert {attempt.username for attempt in AccessAttempt.objects.all()} == {name.upper() for name in stay}
    assert [model.objects.count() for model in (Session, TOTPDevice, SavedView)] == [4, 4, 4]
    removed = Erasure.objects.get().removed
    kinds = ("User", "Session", "TOTPDevice", "SavedView", "AccessAttempt", "Membership")
    assert {kind: removed[kind] for kind in kinds} == {**dict.fromkeys(kinds, 1), "Membership": 5}


def test_stopped_in_the_middle_it_goes_on_and_counts_all(principal: Principal, monkeypatch: pytest.MonkeyPatch) -> None:
    tenant = Tenant.objects.get(slug="sample")
    full_task(principal)
    monkeypatch.setattr(erase, "TASKS_AT_ONCE", 1)
    full_task(principal)
    # A store that cannot delete one of the files now.
    stuck = Path(artifact_storage().path(str(Artifact.objects.order_by("-pk")[0].file.name)))
    content = stuck.read_bytes()
    stuck.unlink()
    (stuck / "inside").mkdir(parents=True)

    with pytest.raises(CommandError, match="Run the command again"):
        erased()
    assert Tenant.objects.get(slug="sample").suspended_at is not None
    (stuck / "inside").rmdir()
    stuck.rmdir()
    stuck.write_bytes(content)
    erased()

    record = Erasure.objects.get()
    assert (record.removed["Workflow"], record.removed["Artifact"]) == (2, 2)
    assert record.tenant_number == tenant.pk


def test_a_hold_refuses_and_says_what_to_do(principal: Principal) -> None:
    task = run_workflow(principal, "probe_loop")
    hold = holds.place(task.tenant_id, cover=holds.Cover(task.pk), reason="case 7", actor="user:ada")

    with pytest.raises(CommandError, match=r"user:ada has placed a legal hold .*case 7.*--lift"):
        erased()
    assert Tenant.objects.get(slug="sample").suspended_at is None, "nothing was changed"
    holds.lift(hold, reason="over", actor="user:ada")
    erased()
    assert not Workflow.objects.exists()


def test_its_keys_are_refused_from_the_first_moment_on(tenant: Tenant) -> None:
    _, token = api_keys.create(tenant=tenant, name="x", scopes=["tasks:write"])
    erase.suspend(tenant)
    with pytest.raises(BadKey, match="revoked"):
        api_keys.authenticate(token)
