"""Tasks that begin by the clock: who may make, change and pause schedules, and what they must be. [C10]"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import IntegrityError
from django.db.models import QuerySet

from agentapp import registry
from agentapp.errors import InvalidInput, NotFound
from agentapp.lifecycle import database
from agentapp.lifecycle.submit import NamedRequest
from agentapp.models import Schedule, ScheduleRun
from agentapp.policies import priority as priorities
from agentapp.policies import schedules, sentences, storable
from agentapp.policies.schedules import BadTiming
from agentapp.services import new_task, schedule_runs, unchanged, validation
from agentapp.services.principals import Principal, owner
from agentapp.services.schedule_runs import timing_of
from agentapp.states import CatchUp, Overlap

READ, WRITE = "schedules:read", "schedules:write"
MOST_SCHEDULES = 200
LONGEST_NAME = 100
UPCOMING = 5
# What a client says of a schedule, and what it is when nothing is said.
DEFAULTS: dict[str, Any] = {
    "input": {}, "labels": {}, "priority": "normal", "deadline_s": None, "cron": "", "every_s": 0, "timezone": "UTC",
    "catch_up": CatchUp.ONCE.value, "overlap": Overlap.SKIP.value, "is_paused": False,
}  # fmt: skip
REQUIRED = ("name", "kind")
OF_TIMING = ("cron", "every_s", "timezone")


def listing(principal: Principal) -> QuerySet[Schedule]:
    """The schedules that the principal may see, newest first."""
    principal.require(READ)
    return _mine(principal).order_by("-id")


def get(principal: Principal, schedule_id: UUID) -> Schedule:
    """Raises NotFound."""
    principal.require(READ)
    return _found(principal, schedule_id)


def writable(principal: Principal, schedule_id: UUID, *scopes: str) -> Schedule:
    """Return a schedule for which the principal has WRITE and these scopes. Raises NotFound."""
    for scope in (WRITE, *scopes):
        principal.require(scope)
    schedule = _found(principal, schedule_id)
    for scope in (WRITE, *scopes):
        principal.require(scope, schedule.tenant_id)
    return schedule


def runs(principal: Principal, schedule_id: UUID) -> QuerySet[ScheduleRun]:
    """What came of its times, newest first. Raises NotFound."""
    return ScheduleRun.objects.filter(schedule=get(principal, schedule_id)).order_by("-id")


def upcoming(schedule: Schedule) -> list[datetime]:
    """Return its next five times."""
    return schedules.upcoming(timing_of(schedule), schedule.next_at, count=UPCOMING)


def create(principal: Principal, given: Mapping[str, Any], *, tenant_id: int | None = None) -> Schedule:
    """Make a schedule of what a client has said: the names of REQUIRED and DEFAULTS. Its tasks are the principal's.

    Raises:
        InvalidInput: with all that does not fit; nothing is stored.
        PermissionDenied: the scope schedules:write or tasks:write is missing.
    """
    _require_write(principal)
    values = _checked(principal, DEFAULTS | dict(given))
    tenant = principal.chosen_tenant(tenant_id, needs=WRITE)
    _require_write(principal, tenant, values["kind"])
    if Schedule.objects.filter(tenant=tenant).count() >= MOST_SCHEDULES:
        raise InvalidInput.at("name", f"A tenant may have {MOST_SCHEDULES} schedules. Delete one first.")
    schedule = Schedule(tenant_id=tenant, **owner(principal), **values)
    return _saved(_begun(schedule, is_new=True))


def change(
    principal: Principal, schedule_id: UUID, given: Mapping[str, Any], *, as_read: datetime | None = None
) -> Schedule:
    """Change what `given` names. Times that went by while it was paused are not made up for; with another timing it
    begins anew. From now on its tasks are those of the key or the person that has changed it. `as_read`: only one that
    was last changed at that moment.

    Raises like `create`, NotFound, and IllegalMove where somebody has changed it since.
    """
    _require_write(principal)
    # Under its lock: what another request or the dispatcher does to it meanwhile is not undone.
    with database.atomic():
        schedule = _locked(principal, schedule_id, as_read)
        was = _values(schedule)
        values = _checked(principal, was | dict(given))
        _require_write(principal, schedule.tenant_id, values["kind"])
        begins_anew = schedule.is_paused or any(was[name] != values[name] for name in OF_TIMING)
        for name, value in (values | owner(principal)).items():
            setattr(schedule, name, value)
        _saved(_begun(schedule, is_new=begins_anew))
        # As it is stored, where 60 is 60.0 and 1e22 has 23 digits: a tag is of the text.
        return _found(principal, schedule_id)


def delete(principal: Principal, schedule_id: UUID, *, as_read: datetime | None = None) -> None:
    """Forget a schedule and the record of its runs; its tasks stay. Raises NotFound, and IllegalMove as `change`."""
    principal.require(WRITE)
    with database.atomic():
        schedule = _locked(principal, schedule_id, as_read)
        principal.require(WRITE, schedule.tenant_id)
        schedule.delete()


def run(principal: Principal, schedule_id: UUID, request: NamedRequest | None = None) -> ScheduleRun:
    """Start a task of it now, paused or not. Raises NotFound, and like schedule_runs.start_now."""
    _require_write(principal)
    schedule = _found(principal, schedule_id)
    _require_write(principal, schedule.tenant_id)
    return schedule_runs.start_now(schedule, principal, request)


def _require_write(principal: Principal, tenant_id: int | None = None, kind: str = "") -> None:
    """What a schedule does, its maker must be allowed to do."""
    principal.require(WRITE, tenant_id)
    principal.require("tasks:write", tenant_id)
    if tenant_id is not None and (flow := registry.latest_flow(kind)):
        new_task.permitted(principal, flow, tenant_id)


def _mine(principal: Principal) -> QuerySet[Schedule]:
    return principal.visible(Schedule.objects.all()).select_related("tenant", "api_key__tenant", "user")


def _locked(principal: Principal, schedule_id: UUID, as_read: datetime | None) -> Schedule:
    found = _one_of(_mine(principal).select_for_update(of=("self",)), schedule_id)
    return unchanged.check(found, f"schedule {schedule_id}", as_read=as_read)


def _found(principal: Principal, schedule_id: UUID) -> Schedule:
    return _one_of(_mine(principal), schedule_id)


def _one_of(rows: QuerySet[Schedule], schedule_id: UUID) -> Schedule:
    found = rows.filter(pk=schedule_id).first()
    if found is None:
        raise NotFound(f"This tenant has no schedule {schedule_id}.")
    return found


def _values(schedule: Schedule) -> dict[str, Any]:
    """What a client could have said to make it as it is."""
    values = {name: getattr(schedule, name) for name in (*REQUIRED, *DEFAULTS)}
    return values | {"priority": priorities.name_of(schedule.priority)}


def _begun(schedule: Schedule, *, is_new: bool) -> Schedule:
    """Set its next time, where it does not have the right one."""
    if schedule.is_paused:
        schedule.next_at = None
    elif is_new:
        schedule.next_at = schedules.following(timing_of(schedule), database.now())
        schedule.paused_reason = ""
    return schedule


def _saved(schedule: Schedule) -> Schedule:
    try:
        with database.atomic():
            schedule.save()
    except IntegrityError as error:
        raise InvalidInput.at("name", f"There is a schedule named {schedule.name} already.") from error
    return schedule


def _checked(principal: Principal, given: dict[str, Any]) -> dict[str, Any]:
    """Return what a client has said as it is stored. Raises InvalidInput with all that does not fit."""
    asked = {name: given[name] for name in ("kind", "input", "priority", "labels", "deadline_s")}
    found = new_task.problems(principal, asked)
    found += sentences.entries(
        (field, message)
        for field, message in (
            ("name", _problem_of_name(given["name"])),
            ("catch_up", _problem_of_choice(given["catch_up"], CatchUp.values)),
            ("overlap", _problem_of_choice(given["overlap"], Overlap.values)),
            *_problems_of_timing(given),
        )
        if message
    )
    validation.raise_errors(found)
    wanted = new_task.check(principal, asked)
    return given | {
        "name": given["name"].strip(), "input": wanted.input, "labels": wanted.labels, "priority": wanted.priority,
        "cron": " ".join(given["cron"].split()),
    }  # fmt: skip


def _problem_of_name(name: str) -> str:
    if 0 < len(name.strip()) <= LONGEST_NAME and storable.is_storable(name):
        return ""
    return f"A name has 1 to {LONGEST_NAME} characters."


def _problem_of_choice(value: str, choices: list[str]) -> str:
    return "" if value in choices else f"Choose one of {', '.join(choices)}."


def _problems_of_timing(given: Mapping[str, Any]) -> list[tuple[str, str]]:
    if bool(given["cron"]) == bool(given["every_s"]):
        return [("cron", "Give either cron or every_s.")]
    checks: dict[str, Callable[[Any], object]] = {"timezone": schedules.zone_of}
    checks |= {"cron": schedules.check_cron} if given["cron"] else {"every_s": schedules.check_every_s}
    found = []
    for field, check in checks.items():
        try:
            check(given[field])
        except BadTiming as error:
            found.append((field, str(error)))
    return found
