"""Schedules as JSON objects."""

from __future__ import annotations

from agentapp.api.answers import schedules as answers
from agentapp.api.shapes import time
from agentapp.models import Schedule, ScheduleRun
from agentapp.policies import priority
from agentapp.services import schedules
from agentapp.states import ScheduleRunOutcome


def schedule(row: Schedule) -> answers.Schedule:
    return {
        "id": str(row.pk),
        "name": row.name,
        "kind": row.kind,
        "input": row.input,
        "labels": row.labels,
        "priority": priority.name_of(row.priority),
        "deadline_s": row.deadline_s,
        "cron": row.cron or None,
        "every_s": row.every_s or None,
        "timezone": row.timezone,
        "catch_up": row.catch_up,
        "overlap": row.overlap,
        "is_paused": row.is_paused,
        "paused_reason": row.paused_reason or None,
        "next_at": time(row.next_at),
        "upcoming": [time(moment) for moment in schedules.upcoming(row)],
        "created_at": time(row.created_at),
        "updated_at": time(row.updated_at),
    }


def run(row: ScheduleRun) -> answers.ScheduleRun:
    return {
        "task": str(row.pk) if row.outcome == ScheduleRunOutcome.STARTED else None,
        "due_at": time(row.due_at),
        "is_manual": row.is_manual,
        "outcome": row.outcome,
        "reason": row.reason or None,
        "created_at": time(row.created_at),
    }
