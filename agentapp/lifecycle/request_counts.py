"""What web processes have counted of their requests is taken in: by route, and of a minute all together. [H1]"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from agentapp.lifecycle import database
from agentapp.models import RequestCount, Sample
from agentapp.policies import durations

ROUTE = "route:"
# The key of the sample of all routes together.
API = "api"
# The rest a minute later: a process writes six rows a minute.
MOST_ROWS = 5_000


@dataclass
class Took:
    """How many requests took how long, as in policies.durations, and all of them together."""

    runs: list[int] = field(default_factory=list)
    run_s: float = 0.0

    def add(self, runs: list[int], run_s: float) -> None:
        self.runs = durations.added(self.runs, runs)
        self.run_s += run_s


def take(*, minute: datetime | None) -> dict[str, Took]:
    """Delete what is there and return it by the key of its total; with a minute, write the sample of it.

    Call it in the transaction that adds it to the totals, by one at a time.
    """
    found: dict[str, Took] = {}
    with database.atomic():
        rows = list(RequestCount.objects.order_by("pk")[:MOST_ROWS])
        for row in rows:
            for key, (runs, run_s) in row.counts.items():
                found.setdefault(f"{ROUTE}{key}", Took()).add(runs, run_s)
        RequestCount.objects.filter(pk__in=[row.pk for row in rows]).delete()
        if minute and found:
            Sample.objects.bulk_create([_sample(found, minute)], ignore_conflicts=True)
    return found


def _sample(found: dict[str, Took], minute: datetime) -> Sample:
    together, failed = Took(), 0
    for key, took in found.items():
        together.add(took.runs, took.run_s)
        failed += sum(took.runs) if " 5xx " in key else 0
    completed = sum(together.runs) - failed
    return Sample(minute=minute, key=API, completed=completed, failed=failed, runs=together.runs, run_s=together.run_s)
