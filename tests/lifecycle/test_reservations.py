"""What models may use in a day is reserved, settled, and closed when it is used up: the moves alone. [C5]"""

from __future__ import annotations

import threading
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from agentapp import clock as clock_module
from agentapp.errors import InvalidInput
from agentapp.ids import uuid7
from agentapp.lifecycle import gates as gate_moves
from agentapp.lifecycle import spending
from agentapp.lifecycle.function_set import SCHEMA
from agentapp.lifecycle.spending import Status
from agentapp.models import Gate, GateChange, Limit, Tenant, TenantDay
from agentapp.policies.permissions import OPERATOR_SCOPES
from agentapp.services import gates
from agentapp.services.principals import Principal

pytestmark = [pytest.mark.django_db(transaction=True)]

OPERATOR = Principal(frozenset(OPERATOR_SCOPES), None)


def budget(**values: Any) -> Gate:
    return gate_moves.keep(Gate(scope="budget", pattern="*", **values), actor="test")


def used() -> list[int]:
    return list(TenantDay.objects.order_by("day").values_list("tokens", flat=True))


def limit(principal: Principal) -> Limit:
    return Limit.objects.get(key=f"budget:{principal.tenant_id}")


def reserve(principal: Principal, call: Any, *, tokens: int = 1_000, seconds: float = 60) -> Status:
    assert principal.tenant_id
    return spending.reserve(principal.tenant_id, call, tokens=tokens, cost_usd=Decimal("0.01"), seconds=seconds).status


def test_what_others_have_reserved_is_waited_for_and_given_back(
    principal: Principal, clock: clock_module.Clock
) -> None:
    gate_moves.know([f"budget:{principal.tenant_id}"])
    budget(tokens_per_day=1_500)
    first, second = uuid7(), uuid7()

    # Asked twice, because an answer was lost, it is reserved once.
    assert [reserve(principal, first), reserve(principal, first)] == [Status.OK, Status.OK]
    assert reserve(principal, second) is Status.WAIT and limit(principal).closed_until is None
    spending.settle(first, tokens=100, cost_usd=Decimal(0))
    spending.settle(first, tokens=100, cost_usd=Decimal(0))
    assert used() == [100]
    assert reserve(principal, second) is Status.OK
    # Its process was killed: after the time that it had, it is not counted any more.
    assert reserve(principal, uuid7()) is Status.WAIT
    clock.advance(61)
    assert reserve(principal, uuid7()) is Status.OK
    # It was not dead after all, and its call is counted.
    spending.settle(second, tokens=400, cost_usd=Decimal(0))
    assert used() == [500]


def test_two_runs_at_the_same_time_do_not_spend_more_than_the_budget(principal: Principal) -> None:
    gate_moves.know([f"budget:{principal.tenant_id}"])
    budget(tokens_per_day=20_000)
    statuses: list[Status] = []

    def spend() -> None:
        try:
            for _ in range(25):
                call = uuid7()
                status = reserve(principal, call)
                statuses.append(status)
                if status is Status.OK:
                    spending.settle(call, tokens=1_000, cost_usd=Decimal(0))
        finally:
            connection.close()

    threads = [threading.Thread(target=spend) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert statuses.count(Status.OK) <= 20 and sum(used()) == statuses.count(Status.OK) * 1_000
    # A call that comes when nobody has reserved anything gets the rest.
    while reserve(principal, call := uuid7()) is Status.OK:
        spending.settle(call, tokens=1_000, cost_usd=Decimal(0))
    assert used() == [20_000]


def test_tenants_have_budgets_of_their_own_and_a_tier_may_have_another(principal: Principal) -> None:
    other = Tenant.objects.create(slug="third", name="Third", tier="free")
    gate_moves.keep(Gate(scope="budget", pattern="*", tier="free", tokens_per_day=500), actor="test")
    budget(tokens_per_day=1_000)
    gate_moves.know([f"budget:{other.pk}", f"budget:{principal.tenant_id}"])

    def reserved(tenant_id: int) -> Status:
        call = uuid7()
        told = spending.reserve(tenant_id, call, tokens=400, cost_usd=None, seconds=60)
        spending.settle(call, tokens=400, cost_usd=Decimal(0))
        return told.status

    mine = Tenant.objects.get(slug="sample").pk
    assert [reserved(mine), reserved(mine), reserved(mine)] == [Status.OK, Status.OK, Status.USED_UP]
    assert [reserved(other.pk), reserved(other.pk)] == [Status.OK, Status.USED_UP]


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"scope": "budget", "concurrency": 2, "tokens_per_day": 5}, "concurrency"),
        ({"scope": "budget", "requests_per_min": 2}, "requests_per_min"),
        ({"scope": "tenant", "tokens_per_day": 5}, "tokens_per_day"),
        ({"scope": "budget", "cost_usd_per_day": -1}, "cost_usd_per_day"),
        ({"scope": "budget", "cost_usd_per_day": float("nan")}, "cost_usd_per_day"),
        ({"scope": "budget", "tokens_per_day": 10**13}, "tokens_per_day"),
    ],
)
def test_a_budget_says_only_what_a_day_may_cost(values: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        gates.save(OPERATOR, Gate(pattern="*"), values)
    assert field in [item["field"] for item in refused.value.errors]


def test_another_tier_has_its_own_budget_at_once(principal: Principal) -> None:
    gate_moves.know([f"budget:{principal.tenant_id}"])
    budget(tokens_per_day=100_000)
    gate_moves.keep(Gate(scope="budget", pattern="*", tier="free", tokens_per_day=500), actor="test")

    gate_moves.change_tenant(Tenant.objects.get(slug="sample").pk, tier="free", weight=1, actor="test")

    assert limit(principal).tokens_per_day == 500


def test_a_budget_that_was_raised_meanwhile_is_not_closed(principal: Principal) -> None:
    gate_moves.know([f"budget:{principal.tenant_id}"])
    gate = budget(tokens_per_day=1_000)
    before = limit(principal)
    gate_moves.keep(Gate(id=gate.pk, scope="budget", pattern="*", tokens_per_day=5_000), actor="test")

    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {SCHEMA}.close_budget(jsonb_populate_record(l, %s), now() + interval '1 day', now())"
            " FROM agentapp_limit l WHERE key = %s",
            ['{"tokens_per_day": 1000}', before.key],
        )

    assert limit(principal).closed_until is None and not GateChange.objects.filter(action="used up").exists()
