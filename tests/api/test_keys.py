"""API keys and tenants: what is kept of a key, what makes it worthless."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from agentapp import clock
from agentapp.errors import InvalidInput, NotFound, PermissionDenied
from agentapp.lifecycle import key_lookup
from agentapp.models import ApiKey, Tenant
from agentapp.services import api_keys, tenants

pytestmark = pytest.mark.django_db


def test_a_key_opens_its_tenant_and_only_a_hash_of_it_is_kept(tenant: Tenant, other_tenant: Tenant) -> None:
    key, token = api_keys.create(tenant=tenant, name=" shop ", scopes=["tasks:read", "tasks:read"])

    assert api_keys.authenticate(token) == key
    assert (key.tenant, key.name, key.scopes) == (tenant, "shop", ["tasks:read"])
    secret = token.removeprefix(f"aa_{key.prefix}_")
    assert len(secret) == 43
    assert secret not in str(ApiKey.objects.values())


def test_a_key_is_looked_up_with_all_that_the_orm_reads_of_it_and_of_its_tenant(tenant: Tenant) -> None:
    """Whatever column is added: no value has another type, and none is read later."""
    earlier, _ = api_keys.create(tenant=tenant, name="earlier", scopes=["tasks:read"])
    key, _ = api_keys.create(
        tenant=tenant, name="n", scopes=["tasks:read", "tasks:write"], expires_at=clock.now() + timedelta(days=1)
    )  # fmt: skip
    ApiKey.objects.filter(pk=key.pk).update(last_used_at=clock.now(), replaced_by=earlier)
    Tenant.objects.filter(pk=tenant.pk).update(weight=2.5)
    known = ApiKey.objects.select_related("tenant").get(pk=key.pk)

    with CaptureQueriesContext(connection) as seen:
        found = key_lookup.by_prefix(key.prefix)
        assert found is not None
        for ours, theirs in ((found, known), (found.tenant, known.tenant)):
            assert {f.attname: getattr(ours, f.attname) for f in ours._meta.concrete_fields} == {
                f.attname: getattr(theirs, f.attname) for f in theirs._meta.concrete_fields
            }
            assert not ours._state.adding and not ours.get_deferred_fields()
    assert len(seen) == 1 and key_lookup.by_prefix("0" * 12) is None


def test_two_keys_share_nothing(tenant: Tenant) -> None:
    tokens = [api_keys.create(tenant=tenant, name="n", scopes=["tasks:read"])[1] for _ in range(2)]
    prefixes, secrets = zip(*(token.removeprefix("aa_").split("_", 1) for token in tokens), strict=True)
    with pytest.raises(api_keys.BadKey):
        api_keys.authenticate(f"aa_{prefixes[0]}_{secrets[1]}")


@pytest.mark.parametrize("token", ["", "aa_", "aa_0123456789ab_", "bb_0123456789ab_" + "x" * 43, "aa_\x00_" + "x" * 43])
def test_what_is_no_key_is_refused_without_a_look_into_the_database(token: str, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0), pytest.raises(api_keys.BadKey):
        api_keys.authenticate(token)


@pytest.mark.parametrize("is_known", [True, False])
def test_a_key_is_looked_up_by_one_select(tenant: Tenant, django_assert_num_queries: Any, is_known: bool) -> None:
    _, token = api_keys.create(tenant=tenant, name="n", scopes=["tasks:read"])
    if not is_known:
        token = f"aa_{'0' * 12}_{token[-43:]}"
    else:
        # Its first use is noted.
        api_keys.authenticate(token)
    with django_assert_num_queries(1):
        try:
            assert api_keys.authenticate(token).tenant.slug == tenant.slug
        except api_keys.BadKey:
            assert not is_known


def test_a_revoked_key_stays_revoked_since_the_first_time(tenant: Tenant, clock: clock.Clock) -> None:
    key, token = api_keys.create(tenant=tenant, name="n", scopes=["tasks:read"])
    api_keys.revoke(key)
    first = key.revoked_at
    clock.advance(60)
    api_keys.revoke(key)
    assert key.revoked_at == first
    with pytest.raises(api_keys.BadKey, match="revoked"):
        api_keys.authenticate(token)


def test_a_key_is_worthless_from_the_moment_it_expires(tenant: Tenant, clock: clock.Clock) -> None:
    expires_at = clock.now() + timedelta(hours=1)
    _, token = api_keys.create(tenant=tenant, name="n", scopes=["tasks:read"], expires_at=expires_at)
    clock.advance(3599)
    api_keys.authenticate(token)
    clock.advance(1)
    with pytest.raises(api_keys.BadKey, match="expired"):
        api_keys.authenticate(token)


def test_the_keys_of_a_suspended_tenant_are_good_but_of_no_use(tenant: Tenant) -> None:
    _, token = api_keys.create(tenant=tenant, name="n", scopes=["tasks:read"])
    Tenant.objects.filter(pk=tenant.pk).update(suspended_at=clock.now())
    with pytest.raises(PermissionDenied, match="suspended") as caught:
        api_keys.authenticate(token)
    assert not isinstance(caught.value, api_keys.BadKey)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [({"scopes": []}, "without scopes"), ({"scopes": ["tasks:all"]}, "tasks:all"), ({"name": " "}, "name"),
     ({"name": "n" * 201}, "name")],
)  # fmt: skip
def test_a_key_that_makes_no_sense_is_not_made(tenant: Tenant, values: dict[str, Any], sentence: str) -> None:
    fields: dict[str, Any] = {"tenant": tenant, "name": "n", "scopes": ["tasks:read"]}
    with pytest.raises(InvalidInput, match=sentence):
        api_keys.create(**(fields | values))
    assert ApiKey.objects.count() == 0


def test_a_key_of_the_platform_is_made_by_naming_its_scopes(tenant: Tenant) -> None:
    key, token = api_keys.create(tenant=tenant, name="autoscaler", scopes=["gates:read"])
    assert api_keys.authenticate(token).scopes == key.scopes == ["gates:read"]


@pytest.mark.parametrize(
    ("values", "field"),
    [({"tier": ""}, "tier"), ({"tier": "very gold"}, "tier"), ({"tier": "x" * 31}, "tier"), ({"weight": 0}, "weight"),
     ({"weight": float("nan")}, "weight"), ({"weight": 1e9}, "weight")],
)  # fmt: skip
def test_a_tier_or_weight_that_would_be_trouble_is_refused(values: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        tenants.create(**({"slug": "third", "name": "Third"} | values))
    assert [error["field"] for error in caught.value.errors] == [field]
    assert not Tenant.objects.filter(slug="third").exists()


@pytest.mark.parametrize("slug", ["", "Nord", "a b", "-a", "a/b", "x" * 51, "ä"])
def test_a_slug_that_would_be_trouble_is_refused(slug: str) -> None:
    with pytest.raises(InvalidInput, match="a-z"):
        tenants.create(slug=slug, name="N")


@pytest.mark.parametrize("name", ["", " ", "N" * 201])
def test_a_tenant_has_a_name_that_its_row_can_hold(name: str) -> None:
    with pytest.raises(InvalidInput, match="name of 1 to 200 characters"):
        tenants.create(slug="third", name=name)
    assert not Tenant.objects.filter(slug="third").exists()


def test_a_slug_is_taken_once(tenant: Tenant, other_tenant: Tenant) -> None:
    with pytest.raises(InvalidInput, match="exists already"):
        tenants.create(slug=tenant.slug, name="Another")
    assert tenants.get(tenant.slug) == tenant
    with pytest.raises(NotFound, match=f"Known are {other_tenant.slug}, {tenant.slug}"):
        tenants.get("nobody")
