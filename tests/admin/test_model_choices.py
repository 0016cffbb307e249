"""Model choices in the admin: for superusers, with errors beside their fields; keys are named and never shown. [C7]"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from agentapp.models import GateChange, ModelChoice, Tenant

pytestmark = pytest.mark.django_db

CHOICES = "/admin/agentapp/modelchoice/"
FORM = {"model": "gpt-5", "fallback_model": "gpt-5-mini", "job_type": "generate_draft"}


def page_of(choice: ModelChoice) -> str:
    return reverse("admin:agentapp_modelchoice_change", args=(choice.pk,))


def text_of(answer: Any) -> str:
    return re.sub(r"\s+", " ", answer.content.decode())


def test_a_choice_is_made_changed_and_deleted_with_a_reason(
    operator: Client, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_KEY_ACME", "a-secret-of-acme")
    key = {"tenant": tenant.slug, "key_variable": "MODEL_KEY_ACME"}
    made = operator.post(f"{CHOICES}add/", FORM | key | {"reason": "a trial"}, follow=True)
    choice = ModelChoice.objects.get()
    assert made.redirect_chain[-1][0] == page_of(choice)
    assert "holds from the next claim on" in text_of(made) and "gpt-5+ACME" in text_of(made)
    assert "a-secret-of-acme" not in text_of(made)

    given = {"temperature": "0.5", "max_output_tokens": "900", "context_tokens": "9000", "parallel_tool_calls": "false"}
    operator.post(page_of(choice), FORM | given)
    choice.refresh_from_db()
    assert choice.parallel_tool_calls is False
    late = FORM | {"as_read": (choice.updated_at - timedelta(seconds=1)).isoformat()}
    assert [operator.post(page_of(choice), late | {"action": each}).status_code for each in ("", "delete")] == [
        409,
        409,
    ]
    assert late["as_read"] in operator.post(page_of(choice), late | {"reason": "x" * 301}).content.decode()
    assert '<option value="false" selected>one after the other' in text_of(operator.get(page_of(choice)))
    assert (choice.tenant, choice.key_variable, choice.temperature) == (None, "", 0.5)
    assert (choice.max_output_tokens, choice.context_tokens) == (900, 9_000) and "generate_draft" in text_of(
        operator.get(CHOICES)
    )

    gone = operator.post(page_of(choice), {"action": "delete", "reason": "over"}, follow=True)
    assert gone.redirect_chain[-1][0] == CHOICES and not ModelChoice.objects.exists()
    changes = GateChange.objects.order_by("id").values_list("action", "reason", "actor")
    assert list(changes) == [
        ("created", "a trial", "user:operator"), ("changed", "", "user:operator"),
        ("deleted", "over", "user:operator"),
    ]  # fmt: skip
    shown = text_of(operator.get("/admin/agentapp/gatechange/"))
    assert f"model choice of {tenant}, generate_draft" in shown


@pytest.mark.parametrize(
    ("values", "field", "says"),
    [
        ({"temperature": "warm"}, "temperature", "a number between 0 and 2"),
        ({"temperature": "nan"}, "temperature", "a number between 0 and 2"),
        ({"parallel_tool_calls": "maybe"}, "parallel_tool_calls", "true, false or null"),
        ({"max_output_tokens": "1.5"}, "max_output_tokens", "a whole number"),
        ({"base_url": "https://127.0.0.1/v1"}, "base_url", "not public"),
        ({"reason": "x" * 301}, "reason", "300 characters"),
    ],
)
def test_what_the_service_refuses_stands_beside_its_field(
    operator: Client, values: dict[str, str], field: str, says: str
) -> None:
    answer = operator.post(f"{CHOICES}add/", FORM | values)

    wrong = dict(re.findall(r'<p class="error" id="wrong-(\w+)">(.*?)</p>', answer.content.decode()))
    assert answer.status_code == 422 and list(wrong) == [field] and says in wrong[field]
    assert not ModelChoice.objects.exists()


def test_a_member_of_a_tenant_sees_no_choices(operator: Client, member: Client, tenant: Tenant) -> None:
    operator.post(f"{CHOICES}add/", FORM | {"tenant": tenant.slug})
    choice = ModelChoice.objects.get()

    assert member.get(CHOICES).status_code == member.get(page_of(choice)).status_code == 403
    assert member.post(page_of(choice), FORM | {"model": "m"}).status_code == 403
    choice.refresh_from_db()
    assert choice.model == "gpt-5"
