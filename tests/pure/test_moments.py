"""A moment as a form sends it: what the clocks of a zone show."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from agentapp.policies import moments

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("shown", "utc"),
    [("2025-07-01T12:00", "10:00"), ("2025-12-01T12:00:30", "11:00:30"), ("2025-10-26T02:30", "00:30")],
)
def test_a_moment_is_that_of_the_zone_and_of_two_the_first(shown: str, utc: str) -> None:
    assert moments.of_clock(shown, BERLIN) == datetime.fromisoformat(f"{shown[:10]}T{utc}").replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("2025-03-30T02:30", "There is no 02:30 on 2025-03-30 in Europe/Berlin"),
        ("0001-01-01T00:00", "between the years"),
    ]
    + [(text, "Choose a date") for text in ("", "x", "2025-01-31", "2025-02-30T08:00", "2025-01-31T08:00Z")],
)
def test_what_is_no_moment_there_is_refused_in_words(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        moments.of_clock(text, BERLIN)
