"""Whether a dispatcher works, and which of its duties does not. For probes, and for who runs the platform."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import DurationField, ExpressionWrapper, F
from django.db.models.functions import Now

from agentapp.models import DispatcherLease

# The lease is renewed each second, and a duty ticks twice a second.
SILENT_S = 10.0


@dataclass(frozen=True)
class Health:
    """`state` is up, late (a duty does not come back, or has not run for long) or down; `sentences` say what is wrong.

    `problems` are for who runs the platform: what duties ran into last, and items that are set aside.
    """

    state: str
    sentences: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def health() -> Health:
    """Ask the row that the leading dispatcher renews. All ages are told by Postgres's clock."""
    age = ExpressionWrapper(Now() - F("renewed_at"), output_field=DurationField())
    row = DispatcherLease.objects.filter(pk=DispatcherLease.ROW).annotate(age=age).first()
    if row is None or row.renewed_at is None:
        return Health("down", ("No dispatcher has ever worked here.",))
    silent: timedelta = row.age
    silent_s = max(0.0, silent.total_seconds())
    if silent_s > SILENT_S:
        return Health("down", (f"No dispatcher has worked for {silent_s:.0f} s.",))
    report: dict[str, Any] = row.report or {}
    duties: dict[str, Any] = report.get("duties", {})
    late = tuple(_late(duties, silent_s))
    return Health("late" if late else "up", late, tuple(_problems(report)))


def _late(duties: dict[str, Any], silent_s: float) -> Iterator[str]:
    for name, duty in sorted(duties.items()):
        running_s, limit_s = duty.get("running_s"), duty.get("limit_s", SILENT_S)
        if running_s is not None:
            if running_s + silent_s > max(limit_s, SILENT_S):
                yield f"The duty {name} has not come back for {running_s + silent_s:.0f} s."
        elif duty.get("idle_s", 0.0) + silent_s > max(2 * duty.get("every_s", 0.0), SILENT_S):
            yield f"The duty {name} has not run for {duty['idle_s'] + silent_s:.0f} s."


def _problems(report: dict[str, Any]) -> Iterator[str]:
    for name, duty in sorted(report.get("duties", {}).items()):
        if duty.get("error"):
            yield f"The duty {name} failed in its last round: {duty['error']}"
    for name, found in sorted(report.get("set_aside", {}).items()):
        count = found["count"]
        items = "1 item is" if count == 1 else f"{count} items are"
        yield f"Of the {name}, {items} set aside and tried again later. The latest is {found['item']}: {found['error']}"
