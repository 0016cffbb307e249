"""Kinds that are internal exist for the deployment alone."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from agentapp import registry
from agentapp.errors import InvalidInput
from agentapp.models import ApiKey, Tenant, Workflow
from agentapp.policies.permissions import API_SCOPES
from agentapp.services import principals, workflows
from agentapp.services.principals import Principal
from tests.admin.conftest import MakeStaff
from tests.admin.conftest import make_staff as make_staff

pytestmark = pytest.mark.django_db

KINDS = ("drill_crash", "drill_fail", "drill_send")


@pytest.mark.parametrize("kind", KINDS)
def test_to_an_api_key_there_is_no_such_kind(kind: str, principal: Principal) -> None:
    with pytest.raises(InvalidInput, match=f"There is no task kind '{kind}'") as refused:
        workflows.submit(principal, kind=kind, input={})

    assert not any(other in str(refused.value).partition("Choose")[2] for other in KINDS)
    assert not Workflow.objects.exists()


def test_to_a_member_of_a_tenant_there_is_no_such_kind(make_staff: MakeStaff, tenant: Tenant) -> None:
    member = principals.of_user(make_staff("member", tenant, "change_workflow"))

    with pytest.raises(InvalidInput, match="There is no task kind"):
        workflows.submit(member, kind="drill_send", input={})


def test_they_are_not_listed() -> None:
    assert not set(KINDS) & set(registry.kinds())
    assert {kind for kind, _ in registry.flows} >= set(KINDS)


def test_the_deployment_and_an_operator_may_submit_them(tenant: Tenant, admin_user: User, api_key: ApiKey) -> None:
    deployment = Principal(frozenset(API_SCOPES), frozenset({tenant.pk}))

    workflows.submit(deployment, kind="drill_send", input={})
    workflows.submit(principals.of_user(admin_user), kind="drill_send", input={}, tenant_id=tenant.pk)

    assert Workflow.objects.filter(kind="drill_send", tenant=tenant).count() == 2
