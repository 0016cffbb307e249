"""The commands that make tenants and keys, and `ask`."""

from __future__ import annotations

import io
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from agentapp.models import ApiKey, Tenant, Workflow
from agentapp.services import api_keys
from tests import harness
from tests.api.live import environment, serving
from tests.offline_model.process import OfflineModel

ASK_S = 240.0


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


@pytest.mark.django_db
def test_a_tenant_and_a_key_are_two_commands() -> None:
    assert "create_api_key shop" in run("create_tenant", "shop", "--name", "The shop")
    assert Tenant.objects.get(slug="shop").name == "The shop"

    said = run("create_api_key", "shop", "--name", "till", "--scope", "tasks:read", "tasks:write")
    (token,) = set(re.findall(r"aa_\w+[\w-]+", said))
    key = api_keys.authenticate(token)
    assert (key.name, key.scopes, key.expires_at) == ("till", ["tasks:read", "tasks:write"], None)
    assert "curl" in said
    assert "/tasks" in said


@pytest.mark.django_db
@pytest.mark.parametrize("option", ["--scope", "--scopes"])
def test_a_command_may_give_operator_scopes(tenant: Tenant, option: str) -> None:
    said = run("create_api_key", tenant.slug, "--name", "autoscaler", option, "gates:read")
    (token,) = set(re.findall(r"aa_\w+[\w-]+", said))
    assert api_keys.authenticate(token).scopes == ["gates:read"]
    assert "/gates" in said


@pytest.mark.django_db
def test_a_script_gets_the_key_and_nothing_else(tenant: Tenant) -> None:
    said = run("create_api_key", tenant.slug, "--name", "script", "--scope", "gates:read", "--token-only")
    assert api_keys.authenticate(said.removesuffix("\n")).scopes == ["gates:read"]


@pytest.mark.django_db
def test_a_tenant_is_made_with_its_tier_and_weight() -> None:
    run("create_tenant", "shop", "--tier", "gold", "--weight", "2.5")
    run("create_tenant", "stand")
    shares = list(Tenant.objects.order_by("slug").values_list("slug", "tier", "weight"))
    assert shares == [("shop", "gold", 2.5), ("stand", "standard", 1.0)]


@pytest.mark.django_db
def test_a_key_can_end_by_itself(tenant: Tenant) -> None:
    said = run("create_api_key", tenant.slug, "--name", "n", "--scope", "documents:read", "--expires-in-days", "2")
    key = ApiKey.objects.get()
    assert key.expires_at is not None
    assert (key.expires_at - key.created_at).days in (1, 2)
    assert "/documents" in said


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["create_tenant", "sample"], "exists already"),
        (["create_tenant", "Not A Slug"], "a-z"),
        (["create_tenant", "third", "--weight", "0"], "between"),
        (["create_api_key", "nobody", "--name", "n", "--scope", "tasks:read"], "no tenant nobody"),
        (["create_api_key", "sample", "--name", "n", "--scope", "tasks:all"], "no scope tasks:all"),
        (["create_api_key", "sample", "--name", "n", "--scope", "tasks:read", "--expires-in-days", "0"], "between"),
    ],
)
def test_what_cannot_be_made_is_said_in_words(tenant: Tenant, arguments: list[str], sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence):
        run(*arguments)


def test_ask_without_a_stack_says_how_to_start_one(tmp_path: Path, settings: Any) -> None:
    settings.AGENTAPP_HOME = tmp_path
    with pytest.raises(CommandError, match="make up"):
        run("ask", "Where are my invoices?")


def test_ask_on_a_stack_that_is_gone_says_so(tmp_path: Path, settings: Any) -> None:
    settings.AGENTAPP_HOME = tmp_path
    (tmp_path / "stack.json").write_text(json.dumps({"url": "http://127.0.0.1:9", "api_key": "aa_x_y"}))
    with pytest.raises(CommandError, match="Nothing answers at"):
        run("ask", "Where are my invoices?", "--timeout-s", "1")


@pytest.mark.django_db(transaction=True)
def test_ask_watches_a_question_until_somebody_must_decide(tenant: Tenant, tmp_path: Path, settings: Any) -> None:
    scopes = ["tasks:write", "tasks:read", "approvals:read"]
    token = api_keys.create(tenant=tenant, name="ask", scopes=scopes)[1]
    settings.AGENTAPP_HOME = tmp_path
    with serving(environment() | {"AGENTAPP_DB_POOL_MAX": "4"}) as web, OfflineModel() as model:
        settings.AGENTAPP_MODEL_BASE_URL = model.url
        (tmp_path / "stack.json").write_text(json.dumps({"url": web.url, "api_key": token}))
        said = ask_and_work("ask", "Where are my invoices?", "--email", "me@example.org")
        task = Workflow.objects.get()
        assert task.state == "awaiting_approval", task.error
    assert f"Task {task.pk} is accepted." in said
    assert "generate_draft" in said
    assert "To:      me@example.org" in said
    assert f"{web.url}/admin/agentapp/approval/{task.approvals.get().pk}/change/" in said


def ask_and_work(*arguments: str) -> str:
    """Run the command, which speaks HTTP alone, and be the worker meanwhile; return what it said."""
    deadline = time.monotonic() + ASK_S
    with ThreadPoolExecutor(1) as asker:
        asking = asker.submit(run, *arguments)
        while not asking.done():
            assert time.monotonic() < deadline, "nobody was asked"
            harness.drain()
            wait([asking], timeout=0.05)
        return asking.result()
