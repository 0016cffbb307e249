"""/model-choices: for operators; what does not fit is refused field by field, and every change is recorded. [C7]"""

from __future__ import annotations

from typing import Any

import pytest

from agentapp.models import GateChange, Limit, ModelChoice, Tenant
from tests.api.conftest import Api, problem_of

pytestmark = pytest.mark.django_db

CHOICE = {"model": "gpt-5", "fallback_model": "gpt-5-mini"}


def made(platform: Api, **values: Any) -> dict[str, Any]:
    answer = platform.post("/model-choices", CHOICE | values)
    assert answer.status_code == 201, answer.content
    found: dict[str, Any] = answer.json()
    assert platform.get(answer.headers["Location"]).json() == found
    return found


def wrong(platform: Api, **values: Any) -> dict[str, str]:
    problem = problem_of(platform.post("/model-choices", CHOICE | values), 422)
    assert not ModelChoice.objects.exists()
    return {error["field"]: error["message"] for error in problem["errors"]}


def test_a_choice_is_made_changed_and_deleted_and_each_change_says_who(platform: Api, tenant: Tenant) -> None:
    choice = made(platform, tenant=tenant.slug, job_type="generate_draft", reason="a new contract")
    path = f"/model-choices/{choice['id']}"

    changed = platform.patch(path, {"temperature": 0.5}).json()
    same = platform.patch(path, {"temperature": 0.5}).json()
    one_by_one = platform.patch(path, {"parallel_tool_calls": False}).json()
    replaced = platform.put(path, {"model": "gpt-5"}).json()
    assert platform.delete(path).status_code == 204

    assert (choice["tenant"], choice["limit_name"], choice["temperature"]) == (tenant.slug, "gpt-5", None)
    assert (changed["temperature"], same["updated_at"]) == (0.5, changed["updated_at"])
    assert (replaced["tenant"], replaced["job_type"], replaced["fallback_model"]) == (None, "", "")
    assert (choice["parallel_tool_calls"], one_by_one["parallel_tool_calls"]) == (None, False)
    assert replaced["parallel_tool_calls"] is None
    assert not ModelChoice.objects.exists()
    rows = GateChange.objects.order_by("id")
    assert [row.action for row in rows] == ["created", "changed", "changed", "changed", "deleted"]
    assert rows[0].target == f"model choice of {tenant}, generate_draft" and rows[0].reason == "a new contract"
    assert {row.actor.split(":")[0] for row in rows} == {"key"}
    assert (rows[1].before or {})["temperature"] is None and (rows[1].after or {})["temperature"] == 0.5


def test_the_limits_of_what_is_chosen_are_there_at_once(platform: Api) -> None:
    made(platform)

    assert set(Limit.objects.filter(scope="model").values_list("name", flat=True)) >= {"gpt-5", "gpt-5-mini"}


@pytest.mark.parametrize(
    ("values", "field", "said"),
    [
        ({"model": " "}, "model", "needs a value"),
        ({"model": "m" * 101}, "model", "at most 100"),
        ({"tenant": "nobody"}, "tenant", "no tenant"),
        ({"job_type": "sample_send"}, "job_type", "asks a chat model"),
        ({"temperature": 2.1}, "temperature", "between 0 and 2"),
        ({"temperature": -0.1}, "temperature", "between 0 and 2"),
        ({"max_output_tokens": 0}, "max_output_tokens", "between 1 and 1,000,000"),
        ({"context_tokens": 10}, "context_tokens", "between 1,000 and 100,000,000"),
        ({"fallback_model": "", "fallback_context_tokens": 9_000}, "fallback_model", "its context is set"),
        ({"key_variable": "DATABASE_URL"}, "key_variable", "MODEL_KEY_"),
        ({"fallback_key_variable": "MODEL_KEY_a"}, "fallback_key_variable", "MODEL_KEY_"),
        ({"base_url": "http://127.0.0.1/v1"}, "base_url", "AGENTAPP_MODEL_ALLOWED_NETWORKS"),
        ({"base_url": "https://10.1.2.3/v1"}, "base_url", "not public"),
        ({"base_url": "http://93.184.216.34/v1"}, "base_url", "Use https"),
        ({"fallback_base_url": "https://user:key@example.org/v1"}, "fallback_base_url", "user name"),
        ({"base_url": "https://93.184.216.34/v1?key=a"}, "base_url", "without a query"),
        ({"fallback_model": "gpt-5"}, "fallback_model", "another model"),
        ({"fallback_model": "", "fallback_key_variable": "MODEL_KEY_A"}, "fallback_model", "needs a value"),
        ({"model": "m" * 90, "base_url": "https://93.184.216.34/v1"}, "model", "With its provider"),
    ],
)
def test_what_does_not_fit_is_refused(platform: Api, values: dict[str, Any], field: str, said: str) -> None:
    assert said in wrong(platform, **values)[field]


def test_there_is_one_choice_for_a_tenant_and_a_job_type(platform: Api, tenant: Tenant) -> None:
    made(platform)
    made(platform, tenant=tenant.slug)
    made(platform, job_type="generate_draft")

    problem = problem_of(platform.post("/model-choices", CHOICE), 422)

    assert "already" in problem["detail"] and ModelChoice.objects.count() == 3


def test_one_model_at_two_providers_has_two_limits(platform: Api) -> None:
    choice = made(
        platform, fallback_model="gpt-5", fallback_base_url="https://93.184.216.34/v1/",
        fallback_key_variable="MODEL_KEY_SECOND",
    )  # fmt: skip

    assert (choice["limit_name"], choice["fallback_limit_name"]) == ("gpt-5", "gpt-5@93.184.216.34+SECOND")
    assert choice["fallback_base_url"] == "https://93.184.216.34/v1"


def test_keys_of_tenants_see_nothing_and_change_nothing(api: Api, platform: Api, tenant: Tenant) -> None:
    choice = made(platform, tenant=tenant.slug)

    problem_of(api.get("/model-choices"), 403)
    problem_of(api.get(f"/model-choices/{choice['id']}"), 403)
    problem_of(api.patch(f"/model-choices/{choice['id']}", {"model": "m"}), 403)
    problem_of(api.post("/model-choices", CHOICE), 403)
    assert ModelChoice.objects.get().model == "gpt-5"
