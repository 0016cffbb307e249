"""A tenant's tier and weight: changed by superusers alone, with the gates that follow from the tier. [E1] [E5]"""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from agentapp.errors import InvalidInput, PermissionDenied
from agentapp.lifecycle import gates as moves
from agentapp.models import Gate, GateChange, Limit, Tenant
from agentapp.services import tenants
from agentapp.services.principals import Principal
from tests.admin.conftest import MakeStaff

pytestmark = pytest.mark.django_db
ADD = "/admin/agentapp/tenant/add/"


def page_of(tenant: Tenant) -> str:
    return reverse("admin:agentapp_tenant_change", args=(tenant.pk,))


@pytest.fixture
def limit(tenant: Tenant) -> Limit:
    """The limit of the tenant, which has two slots, and nine in the tier gold."""
    moves.keep(Gate(scope="tenant", concurrency=2), actor="test")
    moves.keep(Gate(scope="tenant", tier="gold", concurrency=9), actor="test")
    moves.know([f"tenant:{tenant.pk}"])
    GateChange.objects.all().delete()
    return Limit.objects.get(key=f"tenant:{tenant.pk}")


def test_another_tier_brings_its_gates_in_the_same_move(operator: Client, tenant: Tenant, limit: Limit) -> None:
    assert limit.concurrency == 2
    form = {"tier": "gold", "weight": "2.5", "reason": "they pay more"}

    answer = operator.post(page_of(tenant), form, follow=True)

    assert "holds from the next claim on" in answer.content.decode()
    tenant.refresh_from_db()
    limit.refresh_from_db()
    assert (tenant.tier, tenant.weight, limit.concurrency) == ("gold", 2.5, 9)
    change = GateChange.objects.get()
    assert (change.action, change.target, change.actor) == ("changed", limit.key, "user:operator")
    assert change.before == {"tier": "standard", "weight": 1.0} and change.reason == "they pay more"
    assert change.after == {"tier": "gold", "weight": 2.5}


def test_what_changes_nothing_leaves_no_change(operator: Client, tenant: Tenant, limit: Limit) -> None:
    operator.post(page_of(tenant), {"tier": "standard", "weight": "1"})
    assert not GateChange.objects.exists()


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"tier": ""}, "tier"), ({"tier": "two words"}, "tier"), ({"weight": "0"}, "weight"),
        ({"weight": "heavy"}, "weight"), ({"weight": "nan"}, "weight"), ({"reason": "x" * 301}, "reason"),
    ],
)  # fmt: skip
def test_what_is_not_possible_is_said_beside_its_field(
    operator: Client, tenant: Tenant, limit: Limit, form: dict[str, str], field: str
) -> None:
    answer = operator.post(page_of(tenant), {"tier": "gold", "weight": "3"} | form)

    assert answer.status_code == 422
    assert re.findall(r'class="error" id="wrong-(\w+)"', answer.content.decode()) == [field]
    tenant.refresh_from_db()
    assert (tenant.tier, GateChange.objects.count()) == ("standard", 0)


def test_who_saves_a_form_that_was_opened_before_anothers_change_undoes_nothing(
    operator: Client, tenant: Tenant
) -> None:
    found = re.findall(r'name="as_read" value="(.*?)"', operator.get(page_of(tenant)).content.decode())
    both = {"tier": "standard", "weight": "1", "as_read": found[0]}
    assert operator.post(page_of(tenant), both | {"weight": "2"}).status_code == 302

    late = operator.post(page_of(tenant), both | {"tier": "gold"})
    shown = late.content.decode()
    assert late.status_code == 409 and "Somebody has changed this" in shown and 'value="gold"' in shown
    wrong = dict(re.findall(r'class="error" id="wrong-(\w+)">(.*?)<', shown))
    assert wrong == {"tier": "Saved meanwhile: standard.", "weight": "Saved meanwhile: 2."}
    assert f'name="as_read" value="{found[0]}"' in operator.post(page_of(tenant), both | {"tier": ""}).content.decode()
    tenant.refresh_from_db()
    assert (tenant.tier, tenant.weight) == ("standard", 2)
    (now,) = re.findall(r'name="as_read" value="(.*?)"', shown)
    assert operator.post(page_of(tenant), both | {"tier": "gold", "as_read": now}).status_code == 302


def test_others_see_it_and_change_nothing(make_staff: MakeStaff, tenant: Tenant, other_tenant: Tenant) -> None:
    client = Client()
    client.force_login(make_staff("member", tenant, "change_tenant", "add_tenant"))
    page = client.get(page_of(tenant)).content.decode()
    assert "standard" in page and 'name="tier"' not in page and "/limit/" not in page

    assert client.post(page_of(tenant), {"tier": "gold", "weight": "9"}).status_code == 403
    assert client.post(page_of(other_tenant), {"tier": "gold", "weight": "9"}).status_code == 302
    assert 'name="tier"' not in client.get(ADD).content.decode()
    new: dict[str, Any] = {"slug": "third", "name": "Third"}
    assert client.post(ADD, new | {"tier": "gold", "weight": "9"}).status_code == 403
    assert set(Tenant.objects.values_list("slug", "tier")) == {("sample", "standard"), ("other", "standard")}
    assert client.post(ADD, new).status_code == 302
    assert Tenant.objects.get(slug="third").tier == "standard"


def test_a_superuser_gives_a_new_tenant_its_tier(operator: Client) -> None:
    form = {"slug": "third", "name": "Third", "tier": "gold", "weight": "2"}
    assert operator.post(ADD, form | {"weight": "0"}).status_code == 422
    assert operator.post(ADD, form).status_code == 302
    assert Tenant.objects.get(slug="third").weight == 2


def test_the_service_asks_for_the_scope_itself(principal: Principal, tenant: Tenant) -> None:
    with pytest.raises(PermissionDenied, match="gates:write"):
        tenants.change(principal, tenant, tier="gold", weight=1)
    platform = Principal(frozenset({"gates:write"}), None)
    with pytest.raises(InvalidInput):
        tenants.change(platform, tenant, tier="gold", weight=-1)
    assert tenants.change(platform, tenant, tier="gold", weight=3).tier == "gold"
