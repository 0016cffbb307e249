"""Scopes and priorities."""

from __future__ import annotations

import pytest

from agentapp.policies import permissions, priority


def test_missing_names_what_is_required_and_not_held_in_order() -> None:
    assert permissions.missing({"tasks:write", "approvals:read", "tasks:read"}, ["tasks:read"]) == [
        "approvals:read",
        "tasks:write",
    ]
    assert permissions.missing(set(), []) == []


def test_only_the_sender_may_send() -> None:
    holders = [name for name, scopes in permissions.WORKER_CLASS_SCOPES.items() if "mail:send" in scopes]

    assert holders == ["send"]


def test_the_sender_cannot_call_models() -> None:
    assert not {"model:call", "model:embed"} & permissions.WORKER_CLASS_SCOPES["send"]


def test_the_right_to_submit_is_not_the_right_to_decide() -> None:
    assert {"tasks:write", "approvals:decide"} <= set(permissions.API_SCOPES)
    assert permissions.missing({"approvals:decide"}, {"tasks:write"}) == ["approvals:decide"]


def test_priorities_sort_from_urgent_to_low() -> None:
    assert [priority.by_name(name) for name in ("urgent", "high", "normal", "low")] == [0, 1, 2, 3]


def test_a_word_that_is_no_priority_is_an_error() -> None:
    with pytest.raises(ValueError):
        priority.by_name("soon")


def test_every_priority_has_a_list_of_its_own_in_the_broker() -> None:
    assert [priority.to_broker(number) for number in range(4)] == [0, 3, 6, 9]
