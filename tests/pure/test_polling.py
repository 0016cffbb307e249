"""When to ask about a task again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from agentapp.policies import polling

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("state", "in_s", "wait_s"),
    [
        ("completed", None, None), ("failed", 60, None), ("cancelled", None, None),
        ("awaiting_approval", None, 30), ("needs_attention", 5, 30),
        ("running", None, 2), ("pending", None, 2), ("pending", 20, 10), ("pending", 4_000, 30), ("pending", -5, 2),
        ("scheduled", 0.2, 1), ("scheduled", 90, 90), ("scheduled", 1_000_000, 3_600), ("scheduled", -3, 1),
    ],
)  # fmt: skip
def test_it_is_worth_to_ask_again_when_something_may_have_happened(
    state: str, in_s: float | None, wait_s: int | None
) -> None:
    starts_at = None if in_s is None else NOW + timedelta(seconds=in_s)
    assert polling.retry_after_s(state, starts_at=starts_at, now=NOW) == wait_s
