"""The example of docs/howto/ask_a_person.md, run as it stands there."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentapp import flows, registry
from agentapp.models import Approval, Tenant
from agentapp.services.principals import Principal
from tasks.apps import load
from tests.approvals.asking import decide, person
from tests.approvals.questions import go_on, result_of
from tests.harness import run_workflow
from tests.structure.markdown import page
from tests.structure.source import ROOT

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.filterwarnings("ignore::celery.exceptions.DuplicateTaskNameWarning"),
]


@pytest.fixture
def refunded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What the shop has refunded; the example is loaded as from a package of somebody's own."""
    done: list[Any] = []

    def refund(effect_id: str, *, order: int, amount: int) -> dict[str, Any]:
        done.append((order, amount))
        return {"amount": amount}

    (tmp_path / "refunding").mkdir()
    (example,) = page(ROOT / "docs/howto/ask_a_person.md").blocks("python")
    (tmp_path / "refunding" / "__init__.py").write_text(example)
    package = types.ModuleType("my_company")
    package.shop = types.SimpleNamespace(refund=refund)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "my_company", package)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(registry, "job_types", dict(registry.job_types))
    monkeypatch.setattr(registry, "flows", dict(registry.flows))
    load("refunding")
    yield done
    del sys.modules["refunding"]


def test_each_large_refund_is_asked_and_the_small_ones_go_on(
    refunded: list[Any], principal: Principal, tenant: Tenant
) -> None:
    flow = registry.latest_flow("refunds")
    assert flow is not None and flows.check(flow) == []
    orders = [{"id": 1, "amount": 20}, {"id": 2, "amount": 300}, {"id": 3, "amount": 500}]
    task, kim = run_workflow(principal, "refunds", {"orders": orders}), person("kim", tenant)
    assert (task.state, refunded) == ("running", [(1, 20)])

    first, second = Approval.objects.order_by("id")
    assert (first.summary, first.risk) == ("Refund 300 for order 2?", "high")
    decide(kim, first, confirmed_sha256=first.content_sha256)
    decide(kim, second, "reject", reason="Ask the customer first.")
    task = go_on(task)

    assert (task.state, refunded) == ("completed", [(1, 20), (2, 300)])
    assert result_of(task)[2] == {"order": 3, "refunded": 0, "why": "Ask the customer first."}
