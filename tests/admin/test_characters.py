"""A character that Postgres cannot keep is bad input, and never an internal error."""

from __future__ import annotations

import pytest
from django.test import Client

from agentapp.admin.letter_forms import parsed
from agentapp.errors import InvalidInput
from agentapp.models import ApiKey, Tenant

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    "path",
    [
        "/admin/agentapp/workflow/?q=a%00b",
        "/admin/agentapp/workflow/?state=%00",
        "/admin/agentapp/workflow/?%00=1",
        "/admin/agentapp/workflow/%00/change/",
        "/admin/agentapp/deadletter/?error=%00",
        "/admin/agentapp/deadletter/?q=%00",
        "/admin/agentapp/gate/?q=%00",
        "/admin/agentapp/tenant/?q=%00",
    ],
)
def test_nul_in_a_list_is_a_400(admin_client: Client, path: str) -> None:
    response = admin_client.get(path)
    assert response.status_code == 400
    assert "NUL" in response.content.decode()


def test_nul_in_a_cookie_is_nobodys_session(client: Client) -> None:
    client.cookies["sessionid"] = "a\x00" + "b" * 30
    assert client.get("/admin/").status_code == 302


@pytest.mark.parametrize("field", ["reason", "username", "\x00"])
def test_nul_in_a_form_is_a_400(admin_client: Client, field: str) -> None:
    response = admin_client.post("/admin/agentapp/gate/add/", {field: "a\x00b"})
    assert response.status_code == 400
    assert "NUL" in response.content.decode()


def test_nul_before_signing_in_is_a_400(client: Client) -> None:
    assert client.post("/admin/login/", {"username": "a\x00", "password": "b"}).status_code == 400


@pytest.mark.parametrize(
    "text", ['{"a": "\\u0000"}', '{"a": "\\ud800"}', '{"a": NaN}', "[" * 10_000, '{"a": ' + "9" * 5_000 + "}"]
)
def test_json_that_cannot_be_kept_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(InvalidInput, match="payload cannot be"):
        parsed(text, noun="payload")


@pytest.mark.parametrize("number", ["9" * 5_000, "1e400", "nan", "-1", "٣"])
def test_a_number_that_is_none_is_refused_with_a_sentence(admin_client: Client, tenant: Tenant, number: str) -> None:
    key = {"tenant": tenant.slug, "name": "script", "scopes": "tasks:read", "days": number}
    response = admin_client.post("/admin/agentapp/apikey/add/", key)
    assert response.status_code == 422
    assert "whole number" in response.content.decode()
    assert not ApiKey.objects.exists()
