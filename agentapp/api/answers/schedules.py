"""Schedules and what came of their times."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from agentapp.api.answers.values import Id, Moment, Object, Priority, one_of
from agentapp.states import CatchUp, Overlap, ScheduleRunOutcome


class Schedule(TypedDict):
    """What is submitted again and again, and when."""

    id: Id
    name: str
    kind: str
    input: Object
    labels: Object
    priority: Priority
    deadline_s: float | None
    cron: str | None
    every_s: int | None
    timezone: str
    catch_up: Annotated[str, one_of(CatchUp.values)]
    overlap: Annotated[str, one_of(Overlap.values)]
    is_paused: bool
    paused_reason: Annotated[str | None, Field(description="why the platform paused it; null if a client did")]
    next_at: Moment | None
    upcoming: Annotated[list[Moment], Field(description="its next five times")]
    created_at: Moment
    updated_at: Moment


class ScheduleRun(TypedDict):
    """What came of one time of a schedule."""

    task: Annotated[Id | None, Field(description="the task that was started")]
    due_at: Annotated[Moment, Field(description="the time of the schedule, or of the request to run it now")]
    is_manual: bool
    outcome: Annotated[str, one_of(ScheduleRunOutcome.values)]
    reason: Annotated[str | None, Field(description="why nothing was started")]
    created_at: Moment
