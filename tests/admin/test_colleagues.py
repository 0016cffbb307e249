"""Administrators manage the people of their tenant, and never give or take more than they hold themselves. [G6]"""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from agentapp.models import ApiKey, GateChange, Membership, Tenant
from agentapp.services import people, principals
from tests.admin.conftest import signs_in

pytestmark = pytest.mark.django_db
ADD, LIST = "/admin/agentapp/membership/add/", "/admin/agentapp/membership/"


def signed_in(name: str, tenant: Tenant, role: str) -> Client:
    client = Client()
    client.force_login(people.add(name=name, tenant=tenant, role=role)[0].user)
    return client


def page_of(membership: Membership) -> str:
    return reverse("admin:agentapp_membership_change", args=(membership.pk,))


def post(client: Client, membership: Membership, action: str, **more: str) -> Any:
    return client.post(page_of(membership), {"action": action} | more)


@pytest.fixture
def admin(tenant: Tenant, other_tenant: Tenant) -> Client:
    return signed_in("root-of-sample", tenant, "administrator")


def test_an_administrator_adds_a_colleague_who_signs_in_with_the_password_that_is_shown_once(
    admin: Client, tenant: Tenant
) -> None:
    form = {"name": "ada", "email": "ada@sample.test", "tenant": tenant.slug, "role": "agent"}
    shown = admin.post(ADD, form).content.decode()

    (password,) = re.findall(r'class="secret">([^<]+)<', shown)
    assert signs_in("ada", password)
    membership = Membership.objects.get(user__username="ada")
    assert (membership.role, membership.sees_payloads, membership.user.email) == ("agent", True, "ada@sample.test")
    change = GateChange.objects.get(target=f"person {membership.user_id} in {tenant.slug}")
    assert (change.action, change.actor, (change.after or {})["role"]) == ("created", "user:root-of-sample", "agent")
    assert password not in admin.get(page_of(membership)).content.decode()
    again = admin.post(ADD, form)
    assert again.status_code == 422 and "is a member of" in again.content.decode()


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"name": "a b"}, 422), ({"name": ""}, 422), ({"email": "no"}, 422), ({"role": "root"}, 422),
        ({"tenant": "other"}, 422), ({"tenant": ""}, 422), ({"name": "x" * 151}, 422),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_and_nothing_is_stored(admin: Client, wrong: dict[str, str], status: int) -> None:
    form = {"name": "ada", "email": "", "tenant": "sample", "role": "agent"} | wrong
    assert admin.post(ADD, form).status_code == status
    assert not User.objects.exclude(username="root-of-sample").exists()


def test_an_administrator_changes_a_role_and_removes_a_member(admin: Client, tenant: Tenant) -> None:
    membership, _ = people.add(name="ada", tenant=tenant, role="viewer")

    (seen,) = re.findall(r'name="as_read" value="(.*?)"', admin.get(page_of(membership)).content.decode())
    post(admin, membership, "change", role="operator", payloads="yes", as_read=seen)
    # Another administrator, who has opened the page before that.
    late = post(admin, membership, "change", role="agent", payloads="no", as_read=seen)
    membership.refresh_from_db()
    assert membership.role == "operator"
    assert late.status_code == 409 and "Somebody has changed this" in late.content.decode()
    assert re.findall(r"<option selected>(\w+)", late.content.decode()) == ["agent", "no"]
    assert "tasks:write" in principals.of_user(User.objects.get(username="ada")).scopes
    post(admin, membership, "remove")

    assert not Membership.objects.filter(user__username="ada").exists()
    told = list(GateChange.objects.filter(target__contains=f"person {membership.user_id} ").values_list("action"))
    assert told == [("deleted",), ("changed",), ("created",)]
    assert post(admin, membership, "remove").status_code == 302


def test_an_account_is_deactivated_and_gets_a_password_only_by_who_answers_for_all_of_it(
    admin: Client, tenant: Tenant, other_tenant: Tenant
) -> None:
    """A password would open the other tenant too."""
    own, _ = people.add(name="ada", tenant=tenant, role="operator")
    shared, old = people.add(name="sam", tenant=tenant, role="viewer")
    people.add(name="sam", tenant=other_tenant, role="viewer")
    trusted, _ = people.add(name="kim", tenant=tenant, role="viewer")
    trusted.user.user_permissions.add(Permission.objects.get(codename="change_user"))

    (password,) = re.findall(r'class="secret">([^<]+)<', post(admin, own, "password").content.decode())
    assert signs_in("ada", password)
    post(admin, own, "deactivate")
    assert not signs_in("ada", password)
    post(admin, own, "activate")
    assert signs_in("ada", password)
    for membership in (shared, trusted):
        for action in ("password", "deactivate"):
            assert post(admin, membership, action).status_code == 403
    assert signs_in("sam", old)


def test_nobody_reaches_themselves_a_superuser_or_another_tenant(
    admin: Client, tenant: Tenant, other_tenant: Tenant
) -> None:
    mine = Membership.objects.get(user__username="root-of-sample")
    theirs, _ = people.add(name="eve", tenant=other_tenant, role="viewer")
    root = User.objects.create(username="root", is_staff=True, is_superuser=True)
    of_root = Membership.objects.create(user=root, tenant=tenant, role="viewer")

    assert post(admin, mine, "change", role="viewer", payloads="yes").status_code == 409
    for action in ("change", "remove", "deactivate", "password"):
        assert post(admin, of_root, action, role="viewer").status_code == 403
        assert post(admin, theirs, action, role="operator").status_code == 302
    shown = admin.get(LIST).content.decode()
    assert "root-of-sample" in shown and ">eve<" not in shown
    assert {*Membership.objects.values_list("user__username", "role")} == {
        ("root-of-sample", "administrator"), ("eve", "viewer"), ("root", "viewer"),
    }  # fmt: skip


def test_nobody_gives_more_than_they_hold(tenant: Tenant) -> None:
    admin = signed_in("half", tenant, "administrator")
    Membership.objects.filter(user__username="half").update(sees_payloads=False)
    form = {"name": "ada", "tenant": tenant.slug, "role": "operator"}

    answer = admin.post(ADD, form)

    assert answer.status_code == 403 and "payloads:read" in answer.content.decode()
    assert not User.objects.filter(username="ada").exists()
    assert admin.post(ADD, form | {"payloads": "no"}).status_code == 200


def test_an_administrator_manages_the_keys_of_the_own_tenant_alone(tenant: Tenant, other_tenant: Tenant) -> None:
    """Also one who only looks on elsewhere."""
    admin = signed_in("both", tenant, "administrator")
    people.add(name="both", tenant=other_tenant, role="operator")
    theirs = ApiKey.objects.create(tenant=other_tenant, name="theirs", prefix="0" * 12, scopes=["tasks:read"])
    add, keys = reverse("admin:agentapp_apikey_add"), reverse("admin:agentapp_apikey_changelist")

    form = {"tenant": tenant.slug, "name": "site", "scopes": ["tasks:write"]}
    assert "aa_" in admin.post(add, form).content.decode()
    assert admin.post(add, form | {"tenant": other_tenant.slug}).status_code == 422
    assert admin.post(add, form | {"scopes": ["gates:write"]}).status_code == 403
    shown = admin.get(keys).content.decode()
    assert "site" in shown and "theirs" not in shown
    admin.post(keys, {"action": "revoke", "_selected_action": str(theirs.pk)})
    admin.post(reverse("admin:agentapp_apikey_change", args=(theirs.pk,)))
    theirs.refresh_from_db()
    assert theirs.revoked_at is None


@pytest.mark.parametrize("path", ["/admin/", "/admin/agentapp/workflow/", "/console/"])
def test_a_person_without_a_tenant_is_told_so_on_each_page(admin: Client, path: str) -> None:
    client = Client()
    client.force_login(User.objects.create(username="lost", is_staff=True))

    assert "belong to no tenant" in client.get(path).content.decode()
    assert "belong to no tenant" not in admin.get(path).content.decode()
