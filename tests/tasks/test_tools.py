"""What a tool may declare, and the tools that every installation has. [C6]"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agentapp.errors import InvalidPlan
from agentapp.services.principals import Principal
from agentapp.tools import ToolContext, registry, tool
from tests.offline_model.process import OfflineModel
from tests.tasks.agent_runs import call, results, run, script


def documented(ctx: ToolContext, *, n: int) -> str:
    """Do something."""
    return str(n)


def bare(ctx: ToolContext) -> str:
    return ""


def positional(ctx: ToolContext, n: int) -> str:
    """Do something."""
    return str(n)


BAD: dict[str, tuple[dict[str, Any], Callable[..., Any], str]] = {
    "no docstring": ({"queue": "model"}, bare, "write a docstring"),
    "an argument by place": ({"queue": "model"}, positional, "keyword-only arguments"),
    "no such class": ({"queue": "gpu"}, documented, "no worker class 'gpu'"),
    "the class of webhooks": ({"queue": "webhooks"}, documented, "no worker class 'webhooks'"),
    "a class without it": ({"queue": "model", "worker_scopes": {"mail:send"}}, documented, "does not hold mail:send"),
    "no such scope": ({"queue": "model", "scope": "all"}, documented, "no scope 'all'"),
    "a write that asks nobody": (
        {"queue": "send", "write": True, "scope": "tools:write", "approval": "never"}, documented, "asks for approval",
    ),
    "a write without a scope": ({"queue": "send", "write": True}, documented, "needs a scope of the key"),
    "no end": ({"queue": "model", "timeout_s": 10_000}, documented, "its timeout_s must be 1 to 150"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_tool_that_does_not_fit_together_is_refused_at_start(name: str) -> None:
    declared, body, words = BAD[name]

    with pytest.raises(InvalidPlan, match=words):
        tool(**declared)(body)

    assert registry.find(body.__name__) is None


def test_the_arguments_are_the_signature() -> None:
    search = registry.find("search_documents")
    assert search is not None

    assert search.parameters()["required"] == ["query"]
    assert search.parameters()["properties"]["limit"] == {"default": 5, "maximum": 10, "minimum": 1, "type": "integer"}


@pytest.mark.django_db
def test_an_agent_fetches_no_private_address_and_calculates_nothing_that_does_not_end(
    principal: Principal, support_model: OfflineModel
) -> None:
    calls = [
        call("fetch_url", url="http://127.0.0.1:1/"), call("fetch_url", url="http://169.254.169.254/latest"),
        call("fetch_url", url="file:///etc/passwd"), call("calculate", expression="9 ** 9 ** 9"),
        call("calculate", expression="__import__('os')"),
    ]  # fmt: skip
    task = run(principal, script(calls, "Oh."))

    told = results(task)
    assert [status for _, status, _ in told] == ["error"] * 5
    assert all("may not be fetched" in text for _, _, text in told[:3])
    assert all("cannot be calculated" in text for _, _, text in told[3:])
