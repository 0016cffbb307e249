"""A row with a priority that there is not, or a weight of nothing, must not stop the decision about all others."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentapp.policies import priority
from tests.pure.backlogs import admitted, decide, lane


@given(st.lists(st.integers(-(2**15), 2**15 - 1), min_size=1, max_size=6))
def test_every_number_is_one_of_the_classes(levels: list[int]) -> None:
    lanes = [replace(lane(tenant, ages=[500.0]), priority=level) for tenant, level in enumerate(levels)]

    decision = decide(*lanes)

    assert sum(admitted(decision).values()) == len(lanes)
    assert {item.priority for item in decision.admitted} <= set(range(len(priority.NAMES)))


@pytest.mark.parametrize(("number", "name"), [(-1, "urgent"), (0, "urgent"), (2, "normal"), (7, "low")])
def test_its_name_and_its_list_are_those_of_the_nearest_class(number: int, name: str) -> None:
    assert priority.name_of(number) == name
    assert priority.to_broker(number) == priority.to_broker(priority.by_name(name))


def test_a_tenant_whose_weight_is_nothing_is_admitted_all_the_same() -> None:
    assert admitted(decide(lane(1), weights={1: 0.0}))
