"""When a schedule is due."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentapp.policies import schedules
from agentapp.policies.schedules import BadTiming, Due, Timing
from agentapp.states import CatchUp

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe")
CRONS = ("30 2 * * *", "*/15 * * * *", "0 */6 * * *", "0 9 * * 1-5", "0 0 29 2 *", "59 23 L * *", "* * * * *")


def times(cron: str, zone: str, day: date) -> list[str]:
    """The times of a day as the clock on the wall shows them, with its offset."""
    local, timing = ZoneInfo(zone), Timing(cron, zone=zone)
    first, last = (datetime(day.year, day.month, day.day + n, tzinfo=local) for n in (0, 1))
    found = schedules.upcoming(timing, schedules.following(timing, first - MINUTE), count=60)
    return [time.astimezone(local).strftime("%d. %H:%M %z") for time in found if time < last]


MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("zone", "day", "found"),
    [
        ("Europe/Berlin", date(2026, 3, 29), ["29. 03:00 +0200"]),
        ("America/New_York", date(2026, 3, 8), ["08. 03:00 -0400"]),
        ("Australia/Lord_Howe", date(2026, 10, 4), ["04. 02:30 +1100"]),
    ],
)
def test_a_time_that_the_clocks_leave_out_is_run_once_at_the_end_of_the_gap(
    zone: str, day: date, found: list[str]
) -> None:
    assert times("15 2 * * *", zone, day) == found


@pytest.mark.parametrize(
    ("zone", "cron", "day"),
    [
        ("Europe/Berlin", "30 2 * * *", date(2026, 10, 25)),
        ("America/New_York", "30 1 * * *", date(2026, 11, 1)),
        ("Australia/Lord_Howe", "45 1 * * *", date(2026, 4, 5)),
    ],
)
def test_a_time_that_comes_twice_is_run_once(zone: str, cron: str, day: date) -> None:
    assert len(times(cron, zone, day)) == 1


def test_every_quarter_of_an_hour_goes_on_through_a_change_of_the_clocks() -> None:
    assert len(times("*/15 2 * * *", "Europe/Berlin", date(2026, 6, 1))) == 4
    quarters = schedules.upcoming(
        Timing("*/15 * * * *", zone="Europe/Berlin"), datetime(2026, 10, 24, 22, tzinfo=UTC), count=100
    )
    assert {after - before for before, after in pairwise(quarters)} == {timedelta(minutes=15)}


@pytest.mark.parametrize(
    ("catch_up", "expected"),
    [
        ("skip", Due((), True, NOON + 4 * timedelta(hours=1))),
        ("once", Due((NOON + 3 * timedelta(hours=1),), True, NOON + 4 * timedelta(hours=1))),
        ("all", Due(tuple(NOON + n * timedelta(hours=1) for n in range(4)), False, NOON + 4 * timedelta(hours=1))),
    ],
)
def test_what_was_missed_is_made_up_for_as_the_schedule_says(catch_up: str, expected: Due) -> None:
    for timing in (Timing("0 * * * *"), Timing(every_s=3600)):
        assert schedules.due(timing, NOON, now=NOON + timedelta(hours=3, minutes=20), catch_up=catch_up) == expected


@pytest.mark.parametrize("catch_up", CatchUp.values)
def test_what_is_a_little_late_is_not_missed(catch_up: str) -> None:
    late = NOON + schedules.MISSED_AFTER

    assert schedules.due(Timing(every_s=3600), NOON, now=late, catch_up=catch_up).times == (NOON,)
    assert schedules.due(Timing(every_s=3600), NOON, now=NOON - MINUTE, catch_up=catch_up) == Due((), False, NOON)


def test_a_long_gap_is_made_up_for_a_hundred_at_a_time() -> None:
    first = schedules.due(Timing("* * * * *"), NOON, now=NOON + timedelta(days=1), catch_up="all")
    again = schedules.due(Timing("* * * * *"), first.next_at or NOON, now=NOON + timedelta(days=1), catch_up="all")

    assert len(first.times) == len(again.times) == schedules.MOST_AT_ONCE
    assert again.times[0] == first.times[-1] + MINUTE


def test_a_schedule_by_the_minute_that_stood_still_for_years_is_not_walked_through() -> None:
    now = NOON + timedelta(days=3_000, seconds=30)

    found = schedules.due(Timing("* * * * *"), NOON, now=now, catch_up="once")

    assert found == Due((now - timedelta(seconds=30),), True, now + timedelta(seconds=30))


@given(
    st.sampled_from(CRONS), st.sampled_from(ZONES), st.integers(0, 400 * 24 * 60), st.integers(0, 40 * 24 * 60 * 60),
    st.sampled_from(CatchUp.values),
)  # fmt: skip
def test_times_only_go_forward_and_none_is_started_twice(
    cron: str, zone: str, minutes: int, gone_s: int, catch_up: str
) -> None:
    timing = Timing(cron, zone=zone)
    next_at = schedules.following(timing, datetime(2026, 1, 1, tzinfo=UTC) + minutes * MINUTE)
    assert next_at is not None
    now = next_at + timedelta(seconds=gone_s)

    found = schedules.due(timing, next_at, now=now, catch_up=catch_up)

    assert list(found.times) == sorted(set(found.times))
    assert all(next_at <= time <= now for time in found.times)
    assert found.next_at is not None and found.next_at > max(found.times, default=next_at)
    assert found.next_at > now or catch_up == "all"


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("0 8 * *", "five fields"),
        ("0 0 8 * * *", "five fields"),
        ("61 8 * * *", "Bad minute"),
        ("0 8 30 2 *", "day-of-month"),
        ("* " * 200, "five fields"),
        ("0 8 * * MO", "Bad day-of-week"),
        ("", "five fields"),
        ("\x00 8 * * *", "Bad minute"),
    ],
)
def test_a_bad_expression_is_named(cron: str, words: str) -> None:
    with pytest.raises(BadTiming, match=words):
        schedules.check_cron(cron)


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../../etc/passwd", "Europe", "\x00"])
def test_a_time_zone_that_does_not_exist_is_named(name: str) -> None:
    with pytest.raises(BadTiming, match="time zone"):
        schedules.zone_of(name)
