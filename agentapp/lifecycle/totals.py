"""Minutes are added up to counters that never go back, which /metrics shows. [H1]"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from agentapp.lifecycle import database, quarters, request_counts
from agentapp.lifecycle.samples import PLATFORM
from agentapp.models import Sample, Total, Worker
from agentapp.observability import events
from agentapp.policies import durations

# The first time, and after an absence: the rest at the next call.
MOST_AT_ONCE = timedelta(days=1)

_COLUMNS = [field.name for field in Total._meta.fields if not field.primary_key]
# By process and event.
Seen = dict[str, dict[str, int]]


def add_up() -> int:
    """Add the minutes that were measured since the last call, and what workers and web processes have counted; return
    how many minutes there are.

    Each minute is added once, however often and by however many dispatchers this is called: the row of the platform,
    which is locked first, names the last one. Those that a dispatcher of another release has measured are added too.
    """
    with database.atomic():
        Total.objects.get_or_create(key=PLATFORM)
        platform = Total.objects.select_for_update().get(key=PLATFORM)
        minutes, until = _fresh(platform.minute)
        found = {row["key"]: row for row in quarters.totals(minutes, "key")} if until else {}
        happened = _happened(platform)
        requests, moment = request_counts.take(minute=until), database.now()
        known = Total.objects.select_for_update().in_bulk(sorted({*found, *happened, *requests}))
        known[PLATFORM] = platform
        for key, row in found.items():
            _add(known.setdefault(key, Total(key=key)), row, until)
        for key, count in happened.items():
            event = known.setdefault(key, Total(key=key))
            event.happened += count
            event.minute = moment
        for key, took in requests.items():
            route = known.setdefault(key, Total(key=key))
            route.runs, route.run_s = durations.added(route.runs, took.runs), route.run_s + took.run_s
            route.minute = moment
        platform.minute = until or platform.minute
        Total.objects.bulk_create(known.values(), update_conflicts=True, unique_fields=["key"], update_fields=_COLUMNS)
    return minutes.filter(key=PLATFORM).count() if until else 0


def _fresh(last: datetime | None) -> tuple[Any, datetime | None]:
    """The minutes behind the last one that was added, and the newest of them."""
    rows = Sample.objects.filter(minute__gt=last) if last else Sample.objects.all()
    first = rows.order_by("minute").values_list("minute", flat=True).first()
    if first is None:
        return rows, None
    rows = rows.filter(minute__lt=first + MOST_AT_ONCE)
    return rows, rows.order_by("-minute").values_list("minute", flat=True).first()


def _add(total: Total, row: dict[str, Any], until: datetime | None) -> None:
    for name in quarters.FLOWS:
        setattr(total, name, getattr(total, name) + row[name])
    for name in quarters.HISTOGRAMS:
        setattr(total, name, durations.added(getattr(total, name), row[name]))
    total.minute = until


def _happened(platform: Total) -> Counter[str]:
    """What workers have counted since the last look, by key. A process counts from 0 on, and its row stays for a while
    when it has ended."""
    before: Seen = platform.seen
    now: Seen = {}
    found: Counter[str] = Counter()
    for process, counts in Worker.objects.values_list("pk", "counts"):
        mine = {key: int(count) for key, (count, _) in counts.items() if key.startswith(events.COUNTED)}
        if mine:
            now[str(process)] = mine
        for key, count in mine.items():
            known = before.get(str(process), {}).get(key, 0)
            found[key] += count - known if count >= known else count
    platform.seen = now
    return +found
