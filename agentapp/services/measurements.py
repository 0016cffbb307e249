"""What was measured in the last hour, day or week, for who runs the platform. [G5]"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import CharField, DateTimeField, DurationField, Func, Max, Value

from agentapp.lifecycle import database, quarters
from agentapp.lifecycle.quarters import QUARTER, Row, merged
from agentapp.lifecycle.samples import MINUTE
from agentapp.models import QuarterSample, Sample
from agentapp.services import gates
from agentapp.services.principals import Principal


@dataclass(frozen=True)
class Period:
    """How far back to look, and for how long one point of a chart stands."""

    name: str
    words: str
    length: timedelta
    step: timedelta


PERIODS = {
    period.name: period
    for period in (
        Period("1h", "hour", timedelta(hours=1), MINUTE),
        Period("24h", "24 hours", timedelta(hours=24), QUARTER),
        Period("7d", "7 days", timedelta(days=7), timedelta(hours=3)),
    )
}


@dataclass(frozen=True)
class Measurements:
    """Rows are as in lifecycle.quarters. `steps`: the beginnings of the points, the oldest first; `by_step`: each key
    in each step, without histograms; `of_scope`: all queues, or models, together; `by_key`: in the whole period."""

    period: Period
    now: datetime
    steps: list[datetime]
    by_step: dict[datetime, dict[str, Row]]
    of_scope: dict[tuple[datetime, str], Row]
    by_key: dict[str, Row]
    measured_at: datetime | None

    def minutes(self, step: datetime) -> float:
        """How many minutes of a step are over, at least one: rates are of these."""
        return max(1.0, min(self.period.step, self.now - step) // MINUTE)

    @property
    def measured_minutes(self) -> float:
        """The same of all steps in which anything was measured."""
        return max(1.0, sum(self.minutes(step) for step in self.by_step))

    def names(self, scope: str) -> list[str]:
        """What was measured of a scope, by name."""
        return sorted(key.partition(":")[2] for key in self.by_key if key.startswith(f"{scope}:"))


def look(principal: Principal, period: Period) -> Measurements:
    """Read a period that ends with the last minute that is over.

    Raises:
        PermissionDenied: the scope gates:read is missing.
    """
    principal.require(gates.READ)
    now = database.now()
    since = quarters.floor(now - MINUTE, period.step) - period.length + period.step
    tables = _tables(period, since)
    at = {"at": _Step(Value(period.step, DurationField()), "minute", Value(quarters.ORIGIN, DateTimeField()))}
    scope = {"scope": _Scope("key", Value(":"), Value(1))}
    by_step: dict[datetime, dict[str, Row]] = defaultdict(dict)
    for (step, key), row in _merged((rows.annotate(**at) for rows in tables), "at", "key", histograms=False):
        by_step[step][key] = row
    return Measurements(
        period=period, now=now, steps=[since + number * period.step for number in range(period.length // period.step)],
        by_step=dict(by_step),
        of_scope=dict(_merged((rows.annotate(**at, **scope) for rows in tables), "at", "scope")),
        by_key={key: row for (key,), row in _merged(tables, "key")},
        measured_at=Sample.objects.aggregate(at=Max("minute"))["at"],
    )  # fmt: skip


class _Step(Func):
    function = "date_bin"
    output_field = DateTimeField()


class _Scope(Func):
    function = "split_part"
    output_field = CharField()


def _tables(period: Period, since: datetime) -> list[Any]:
    """The rows of a period: minutes, or quarters of an hour and the minutes behind the last of them."""
    if period.step < QUARTER:
        return [Sample.objects.filter(minute__gte=since)]
    last = QuarterSample.objects.aggregate(at=Max("minute"))["at"]
    begin = since if last is None else max(since, last + QUARTER)
    return [QuarterSample.objects.filter(minute__gte=since), Sample.objects.filter(minute__gte=begin)]


def _merged(tables: Iterable[Any], *by: str, histograms: bool = True) -> list[tuple[Any, Row]]:
    found: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for rows in tables:
        for row in quarters.totals(rows, *by, histograms=histograms):
            found[tuple(row[name] for name in by)].append(row)
    return [(place, merged(rows)) for place, rows in found.items()]
