"""Minutes are added up to quarters of an hour, by which the operations page looks back for a day or a week."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Max, QuerySet, Sum

from agentapp.lifecycle import database
from agentapp.models import QuarterSample, Sample
from agentapp.policies import durations

QUARTER = timedelta(minutes=15)
# From when steps of any length are counted.
ORIGIN = datetime(2026, 1, 1, tzinfo=UTC)
# After an absence, or at the first time; the rest at the next call.
MOST_QUARTERS = 100

STANDS = ("waiting", "oldest_s", "running", "slots", "dead_letters")
FLOWS = (
    "entered", "begun", "dead_lettered", "completed", "failed", "cancelled", "retried", "limited", "prompt_tokens",
    "completion_tokens", "cost_usd", "wait_s", "run_s",
)  # fmt: skip
HISTOGRAMS = ("waits", "runs")
Row = dict[str, Any]

_COUNTS = len(durations.BOUNDS_S) + 1


def add_up() -> int:
    """Write the row of each quarter that is over, as far as its minutes were measured; return how many quarters.

    Call it when no minute is missing that may still be measured. Twice comes to the same: the first row stays.
    """
    newest = Sample.objects.aggregate(at=Max("minute"))["at"]
    last = QuarterSample.objects.aggregate(at=Max("minute"))["at"]
    first = last + QUARTER if last else None
    rest = Sample.objects.filter(minute__gte=first) if first else Sample.objects.all()
    oldest = rest.order_by("minute").values_list("minute", flat=True).first()
    if newest is None or oldest is None:
        return 0
    quarters = 0
    # Where nobody measured for long there is nothing to add up.
    begin = floor(oldest)
    while begin + QUARTER <= newest + timedelta(minutes=1) and quarters < MOST_QUARTERS:
        minutes = Sample.objects.filter(minute__gte=begin, minute__lt=begin + QUARTER)
        rows = [QuarterSample(minute=begin, **values) for values in totals(minutes, "key")]
        with database.atomic():
            QuarterSample.objects.bulk_create(rows, ignore_conflicts=True)
        begin += QUARTER
        quarters += 1
    return quarters


def floor(moment: datetime, step: timedelta = QUARTER) -> datetime:
    """The beginning of the step, a quarter of an hour or another length, that a moment lies in."""
    return ORIGIN + (moment - ORIGIN) // step * step


def totals(rows: QuerySet[Any], *by: str, histograms: bool = True) -> list[Row]:
    """Add rows up for each value of these columns: what happened is summed, of how it stood the most is taken."""
    numbers = range(_COUNTS) if histograms else ()
    sums = {f"{name}_{number}": Sum(f"{name}__{number}") for name in HISTOGRAMS for number in numbers}
    found = rows.order_by().values(*by).annotate(
        **{f"most_{name}": Max(name) for name in STANDS}, **{f"sum_{name}": Sum(name) for name in FLOWS}, **sums
    )  # fmt: skip
    return [_read(row, by) for row in found]


def _read(row: Row, by: tuple[str, ...]) -> Row:
    values = {name: row[name] for name in by}
    values |= {name: row[f"most_{name}"] for name in STANDS} | {name: row[f"sum_{name}"] for name in FLOWS}
    for name in HISTOGRAMS:
        counts = {number: row[f"{name}_{number}"] for number in range(_COUNTS) if row.get(f"{name}_{number}")}
        values[name] = durations.listed(counts)
    return values


def merged(rows: Iterable[Row]) -> Row:
    """The same of rows that were added up already."""
    found: Row = dict.fromkeys(STANDS) | dict.fromkeys(FLOWS, 0) | {name: [] for name in HISTOGRAMS}
    for row in rows:
        for name in STANDS:
            if row[name] is not None:
                found[name] = max(row[name], found[name] or 0)
        for name in FLOWS:
            found[name] += row[name]
        for name in HISTOGRAMS:
            found[name] = durations.added(found[name], row[name])
    return found
