"""A colleague is let in by one command: sees one tenant, and may do what the role says."""

from __future__ import annotations

import io
import re
from importlib import import_module

import pytest
from django.apps import apps
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command

from agentapp.errors import PermissionDenied
from agentapp.models import Membership, Tenant
from agentapp.policies.permissions import SEES_RETENTION
from agentapp.services import people, principals, workflows
from tests.admin.conftest import signs_in


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("create_user", *arguments, stdout=out)
    return out.getvalue()


OPERATOR = {
    "approvals:decide", "dead_letters:write", "documents:write", "memories:write", "schedules:write", "tasks:write",
    "tools:write", "webhooks:write",
}  # fmt: skip
MAY = {
    "viewer": set[str](),
    "agent": {"approvals:decide"},
    "approver": {"approvals:decide"},
    "operator": OPERATOR,
    "administrator": OPERATOR | {"people:write", "api_keys:write", "retention:write"},
}


@pytest.mark.parametrize("role", MAY)
def test_a_role_says_what_a_colleague_may_do_and_a_tenant_in_whose_work(
    tenant: Tenant, other_tenant: Tenant, role: str
) -> None:
    said = run("ada", "--tenant", tenant.slug, "--role", role)
    person = principals.of_user(User.objects.get(username="ada"))

    assert {scope for scope in person.scopes if not scope.endswith(":read")} == MAY[role]
    assert person.tenant_ids == frozenset({tenant.pk})
    (password,) = re.findall(r"shown once: (\S+)", said)
    assert signs_in("ada", password)


def test_a_role_holds_in_its_tenant_alone(tenant: Tenant, other_tenant: Tenant) -> None:
    run("ada", "--tenant", tenant.slug, "--role", "operator")
    run("ada", "--tenant", other_tenant.slug, "--role", "viewer")
    person = principals.of_user(User.objects.get(username="ada"))

    assert "tasks:write" in person.scopes_in(tenant.pk) and "tasks:write" not in person.scopes_in(other_tenant.pk)
    workflows.submit(person, kind="probe_fan", input={"text": "a", "parts": [1]}, tenant_id=tenant.pk)
    with pytest.raises(PermissionDenied, match="in this tenant"):
        workflows.submit(person, kind="probe_fan", input={"text": "a", "parts": [1]}, tenant_id=other_tenant.pk)
    assert person.scopes_in(0) == frozenset()


def test_the_release_before_knows_a_person_by_the_least_of_their_roles(tenant: Tenant, other_tenant: Tenant) -> None:
    """There a group holds in every tenant of a person."""
    groups = []
    for where, role in (
        (tenant, "administrator"), (other_tenant, "agent"), (tenant, "viewer"), (tenant, "operator"),
        (other_tenant, "operator"),
    ):  # fmt: skip
        run("ada", "--tenant", where.slug, "--role", role)
        groups.append([group.name for group in User.objects.get(username="ada").groups.all()])

    assert groups == [["operator"], ["approver"], [], ["approver"], ["operator"]]
    assert User.objects.get(username="ada").has_perm("agentapp.change_workflow")


def test_the_migration_gives_the_roles_that_people_had_and_leaves_others_as_they_are(
    tenant: Tenant, other_tenant: Tenant
) -> None:
    groups = {name: people._group(name) for name in ("approver", "operator")}
    more = Permission.objects.get(codename="add_apikey")
    for name, held in {
        "vera": [], "ann": ["approver"], "olga": ["operator", "approver"], "kim": ["approver"], "root": [],
    }.items():  # fmt: skip
        person = User.objects.create(username=name, is_staff=True, is_superuser=name == "root")
        person.groups.set(groups[group] for group in held)
        if name == "kim":
            person.user_permissions.add(more)
        for where in (tenant, other_tenant):
            Membership.objects.create(user=person, tenant=where)
    before = {person.username: principals.of_user(person) for person in User.objects.all()}

    for _ in range(2):
        import_module("agentapp.migrations.0025_roles").give_roles(apps, None)

    roles = dict(Membership.objects.values_list("user__username", "role"))
    assert roles == {"vera": "viewer", "ann": "agent", "olga": "operator", "kim": "", "root": ""}
    after = {person.username: principals.of_user(person) for person in User.objects.all()}
    # What has come since is a right of roles alone.
    had, have = ({name: one.scopes - {SEES_RETENTION} for name, one in each.items()} for each in (before, after))
    assert have == had


def test_a_known_person_gets_another_tenant_and_keeps_the_password(tenant: Tenant, other_tenant: Tenant) -> None:
    run("ada", "--tenant", tenant.slug)
    before = User.objects.get(username="ada").password

    said = run("ada", "--tenant", other_tenant.slug, "--role", "agent")

    person = User.objects.get(username="ada")
    assert "Password" not in said
    assert person.password == before
    assert principals.of_user(person).tenant_ids == frozenset({tenant.pk, other_tenant.pk})


@pytest.mark.parametrize(
    ("name", "tenant_slug", "why"), [("a b", "sample", "cannot be a user"), ("ada", "no", "no tenant")]
)
def test_what_cannot_be_done_is_a_sentence(tenant: Tenant, name: str, tenant_slug: str, why: str) -> None:
    with pytest.raises(CommandError, match=why):
        run(name, "--tenant", tenant_slug)
    assert not User.objects.filter(username=name).exists()
