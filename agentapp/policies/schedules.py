"""When a schedule is due: by a cron expression in a time zone, or every so many seconds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from agentapp.states import CatchUp

# A time that is older than this when it is looked at was missed. Until then it is only late.
MISSED_AFTER = timedelta(seconds=60)
# How many missed times are started together; the next look goes on.
MOST_AT_ONCE = 100
WALKED_AT_MOST = timedelta(days=2)
LEAST_EVERY_S = 10
LONGEST_EVERY_S = 366 * 24 * 3600
LONGEST_CRON = 200


class BadTiming(ValueError):
    """The message says what is wrong, and an example of what is right."""


@dataclass(frozen=True)
class Timing:
    """Either `cron`, five fields that are read in the time zone `zone`, or `every_s` seconds.

    Around a change of the clocks cron expressions with a fixed hour run once a day, as Debian's cron runs them: what
    falls into the hour that is left out runs at its end, what falls into the hour that comes twice runs once.
    """

    cron: str = ""
    every_s: int = 0
    zone: str = "UTC"


@dataclass(frozen=True)
class Due:
    """The times that are to be started, oldest first; whether others are left out; and when to look again, None for
    never."""

    times: tuple[datetime, ...]
    leaves_out: bool
    next_at: datetime | None


def zone_of(name: str) -> ZoneInfo:
    """Raises BadTiming."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadTiming(f"There is no time zone {name!r}. Write one as in Europe/Berlin, or UTC.") from None


def check_cron(cron: str) -> None:
    """See that a cron expression can be read and has a time at all. Raises BadTiming."""
    if len(cron) > LONGEST_CRON or len(cron.split()) != 5:
        raise BadTiming(
            "A cron expression has five fields: minute, hour, day of month, month, day of week, as in 0 8 * * 1-5."
        )
    try:
        found = next(CronSim(cron, datetime(2000, 1, 1, tzinfo=UTC)), None)
    except CronSimError as error:
        raise BadTiming(f"{error} in the cron expression {cron!r}. An example of one is 0 8 * * 1-5.") from None
    if found is None:
        raise BadTiming(f"The cron expression {cron!r} names a day that never comes.")


def check_every_s(every_s: int) -> None:
    """Raises BadTiming."""
    if not LEAST_EVERY_S <= every_s <= LONGEST_EVERY_S:
        raise BadTiming(f"every_s must be between {LEAST_EVERY_S} and {LONGEST_EVERY_S:,} seconds.")


def following(timing: Timing, after: datetime) -> datetime | None:
    """Return the first time after a moment, in UTC; None where there is none. An interval counts from that moment."""
    if timing.every_s:
        return after + timedelta(seconds=timing.every_s)
    found: datetime | None = next(CronSim(timing.cron, after.astimezone(zone_of(timing.zone))), None)
    return None if found is None else found.astimezone(UTC)


def upcoming(timing: Timing, next_at: datetime | None, *, count: int) -> list[datetime]:
    """Return the next times, of which `next_at` is the first."""
    times: list[datetime] = []
    while next_at is not None and len(times) < count:
        times.append(next_at)
        next_at = following(timing, next_at)
    return times


def due(timing: Timing, next_at: datetime, *, now: datetime, catch_up: str) -> Due:
    """Say what of a schedule is to be started now, when `next_at` was its next time.

    What is not older than a minute is started whatever `catch_up` says. Of what is older, `skip` starts nothing, `once`
    the latest if nothing newer is due, `all` each of them, a hundred at a time.
    """
    if next_at > now:
        return Due((), False, next_at)
    if catch_up == CatchUp.ALL:
        times = tuple(islice(_times(timing, next_at, until=now), MOST_AT_ONCE))
        return Due(times, False, following(timing, times[-1]))
    latest = _latest(timing, next_at, now)
    is_missed = catch_up == CatchUp.SKIP and now - latest > MISSED_AFTER
    return Due(() if is_missed else (latest,), is_missed or next_at < latest, following(timing, latest))


def _times(timing: Timing, first: datetime, *, until: datetime) -> Iterator[datetime]:
    time: datetime | None = first
    while time is not None and time <= until:
        yield time
        time = following(timing, time)


def _latest(timing: Timing, next_at: datetime, now: datetime) -> datetime:
    """Return the last time that is not after `now`, without a walk through years of them."""
    if timing.every_s:
        return next_at + (now - next_at) // timedelta(seconds=timing.every_s) * timedelta(seconds=timing.every_s)
    # What is due more often than this has a time within it; of what is rarer there are few.
    near = following(timing, max(next_at, now - WALKED_AT_MOST))
    first = near if near is not None and near <= now else next_at
    return max(_times(timing, first, until=now))
