"""What a schedule starts, and what it leaves out."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import IntegrityError

from agentapp import flows
from agentapp.dispatch import publisher
from agentapp.errors import AskedBefore, InvalidInput, PermissionDenied
from agentapp.ids import uuid7
from agentapp.lifecycle import database
from agentapp.lifecycle import schedules as moves
from agentapp.lifecycle.submit import NamedRequest, submit
from agentapp.models import Schedule, ScheduleRun, Workflow
from agentapp.observability import events, tracing
from agentapp.policies import priority, schedules
from agentapp.policies.schedules import Timing
from agentapp.services import api_keys, idempotency, new_task, principals, workflows
from agentapp.services.principals import Principal
from agentapp.states import CatchUp, Origin, Overlap, ScheduleRunOutcome

STILL_RUNNING = "The previous task is not over."
SUSPENDED = "The tenant is suspended."
MISSED = "Earlier times were missed: no dispatcher ran then, or too many tasks waited already."


def timing_of(schedule: Schedule) -> Timing:
    return Timing(schedule.cron, schedule.every_s, schedule.timezone)


def start_due(schedule: Schedule) -> int:
    """Start what is due of a schedule, and return how many tasks that made.

    Each time has one task, however many dispatchers start it: its id follows from the schedule and the time. A schedule
    whose key or person may no longer submit tasks is paused.

    Raises:
        Overloaded: too many tasks wait. What is left is tried again.
    """
    if schedule.next_at is None:
        return 0
    moment = database.now()
    if schedule.tenant.suspended_at is not None:
        _pass_over(schedule, schedule.next_at, moment)
        return 0
    try:
        principal = principal_of(schedule)
    except PermissionDenied as error:
        moves.pause(schedule, reason=str(error))
        events.emit("schedule.paused", schedule=schedule.pk, reason=str(error))
        return 0
    due = schedules.due(timing_of(schedule), schedule.next_at, now=moment, catch_up=schedule.catch_up)
    if due.leaves_out:
        _leave_out(schedule, schedule.next_at, moment, MISSED)
    started = 0
    for time in due.times:
        # Up to here all is done, should this one be refused. Nobody may have paused or changed it meanwhile.
        if not moves.move_on(schedule, time):
            return started
        schedule.next_at = time
        started += _start_time(schedule, principal, time, moment)
    moves.move_on(schedule, due.next_at)
    return started


def _pass_over(schedule: Schedule, first: datetime, moment: datetime) -> None:
    """Start nothing of what is due: its tenant is suspended."""
    due = schedules.due(timing_of(schedule), first, now=moment, catch_up=CatchUp.ONCE)
    _leave_out(schedule, first, moment, SUSPENDED)
    moves.move_on(schedule, due.next_at)


def _leave_out(schedule: Schedule, time: datetime, moment: datetime, reason: str) -> None:
    """Write down that a time was left out, but for one that was started by a process which died over it."""
    id = moves.run_id(schedule, time)
    moves.record(_run(schedule, id, time, moment, "" if moves.is_started(id) else reason))


def principal_of(schedule: Schedule) -> Principal:
    """Return for whom its tasks are, as it is now.

    Raises:
        PermissionDenied: the key or the person may no longer submit tasks there, or the tenant is suspended.
    """
    if schedule.api_key is not None:
        api_keys.check_valid(schedule.api_key)
        found = principals.of_key(schedule.api_key)
    elif schedule.user is not None:
        found = principals.of_user(schedule.user)
    else:
        raise PermissionDenied("There is no key and no person whom the tasks of this schedule could act for.")
    if found.tenant_ids is not None and schedule.tenant_id not in found.tenant_ids:
        raise PermissionDenied(f"{found.named} is no longer a member of {schedule.tenant}.")
    found.require("tasks:write", schedule.tenant_id)
    return found


def _start_time(schedule: Schedule, principal: Principal, time: datetime, moment: datetime) -> bool:
    id = moves.run_id(schedule, time)
    if moves.is_started(id) or (schedule.overlap == Overlap.SKIP and moves.is_running(schedule)):
        _leave_out(schedule, time, moment, STILL_RUNNING)
        return False
    try:
        is_new = _submit(schedule, principal, id, actor="dispatcher")
    except InvalidInput as error:
        # The kind or its input is no longer what it was when the schedule was made.
        moves.record(_run(schedule, id, time, moment, str(error), outcome=ScheduleRunOutcome.FAILED))
        events.emit("schedule.failed", schedule=schedule.pk, reason=str(error))
        return False
    moves.record(_run(schedule, id, time, moment))
    return is_new


def start_now(schedule: Schedule, by: Principal, request: NamedRequest | None = None) -> ScheduleRun:
    """Start a task of a schedule that is not due, for the key or person it stands for. The same `request` once more
    starts no second one: the first is returned.

    Raises:
        PermissionDenied: these may no longer submit tasks.
        InvalidInput: its kind no longer takes its input.
        Overloaded: too many tasks wait.
        KeyUsedOtherwise, BeingAsked: see idempotency.once.
    """
    moment = database.now()
    run = _run(schedule, uuid7(), moment, moment)
    run.is_manual = True
    try:
        with idempotency.once(request):
            _submit(schedule, principal_of(schedule), run.pk, actor=by.actor, request=request)
    except AskedBefore as earlier:
        # Written again, should the earlier one have died between its task and its record.
        run.pk = earlier.workflow_id
    moves.record(run)
    return run


def _submit(
    schedule: Schedule, principal: Principal, id: UUID, *, actor: str, request: NamedRequest | None = None
) -> bool:
    """Write a task down and publish it; False when somebody else has written it meanwhile."""
    given = {
        "kind": schedule.kind, "input": schedule.input, "priority": priority.name_of(schedule.priority),
        "labels": schedule.labels, "deadline_s": schedule.deadline_s,
    }  # fmt: skip
    wanted = new_task.check(principal, given)
    workflow = Workflow(
        id=id, tenant_id=schedule.tenant_id, kind=schedule.kind, version=wanted.flow.version,
        priority=wanted.priority, input=wanted.input, labels=wanted.labels, origin=Origin.SCHEDULE, parent=schedule.pk,
        result_bind=flows.paths_of(wanted.flow.result), **principals.owner(principal),
    )  # fmt: skip
    plan: dict[str, Any] = {"stages": flows.plan(wanted.flow), "deadline_s": schedule.deadline_s, "request": request}
    try:
        with tracing.span("schedule", {"agentapp.schedule.id": str(schedule.pk)}) as span:
            workflow.traceparent = span.traceparent
            workflows.name_task(span, workflow)
            opened, pressure = submit(workflow, actor=actor, **plan)
    except IntegrityError:
        if not moves.is_started(id):
            raise
        return False
    if pressure.refused:
        raise workflows.overloaded(pressure)
    publisher.publish(opened)
    return True


def _run(
    schedule: Schedule, id: UUID, due_at: datetime, moment: datetime, reason: str = "", *, outcome: str = ""
) -> ScheduleRun:
    outcome = outcome or (ScheduleRunOutcome.SKIPPED if reason else ScheduleRunOutcome.STARTED)
    return ScheduleRun(id=id, schedule=schedule, due_at=due_at, outcome=outcome, reason=reason[:500], created_at=moment)
