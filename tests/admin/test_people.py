"""A colleague is let in by one command: sees one tenant, and may do what the role says."""

from __future__ import annotations

import io
import re

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client

from agentapp.models import Tenant
from agentapp.services import principals


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("create_user", *arguments, stdout=out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("role", "may"),
    [
        ("viewer", set()),
        ("approver", {"approvals:decide"}),
        (
            "operator",
            {
                "approvals:decide",
                "dead_letters:write",
                "documents:write",
                "memories:write",
                "schedules:write",
                "tasks:write",
                "tools:write",
                "webhooks:write",
            },
        ),
    ],
)
def test_a_role_says_what_a_colleague_may_do_and_a_tenant_in_whose_work(
    tenant: Tenant, other_tenant: Tenant, role: str, may: set[str]
) -> None:
    said = run("ada", "--tenant", tenant.slug, "--role", role)
    person = principals.of_user(User.objects.get(username="ada"))

    assert {scope for scope in person.scopes if not scope.endswith(":read")} == may
    assert person.tenant_ids == frozenset({tenant.pk})
    (password,) = re.findall(r"shown once: (\S+)", said)
    assert Client().login(username="ada", password=password)


def test_a_known_person_gets_another_tenant_and_keeps_the_password(tenant: Tenant, other_tenant: Tenant) -> None:
    run("ada", "--tenant", tenant.slug)
    before = User.objects.get(username="ada").password

    said = run("ada", "--tenant", other_tenant.slug, "--role", "approver")

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
