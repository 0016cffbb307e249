"""/schedules: tasks that begin by the clock, again and again."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from agentapp.api import (
    body,
    conditional,
    idempotency,
    links,
    pages,
    query,
    schedule_bodies,
    schedule_shapes,
    schemas,
    shapes,
)
from agentapp.api.answers import schedules as answers
from agentapp.api.contract.headers import AS_READ, LOCATION, NAMED, changed, tagged
from agentapp.api.contract.operation import Operation, nothing, one, page
from agentapp.api.endpoint import Endpoint, identifier
from agentapp.models import Schedule
from agentapp.services import schedules

NOUN = "schedule"


class Schedules(Endpoint):
    """GET /schedules, POST /schedules."""

    scopes = {"GET": schedules.READ, "POST": schedules.WRITE}
    contract = {
        "GET": Operation(
            "list_schedules", "List schedules, newest first", query=query.Page, answers={200: page(answers.Schedule)}
        ),
        "POST": Operation(
            "make_schedule",
            "Make a schedule",
            body=schedule_bodies.NewSchedule,
            answers={201: one(answers.Schedule, "", LOCATION)},
            also=("tasks:write",),
        ),
    }

    def get(self, request: Request) -> Response:
        wanted = query.read(request, query.Page)
        return pages.page(
            request, schedules.listing(self.principal), wanted, shapes=shapes.each(schedule_shapes.schedule)
        )

    def post(self, request: Request) -> Response:
        """Its tasks are submitted for the key that has made it, as it is then."""
        wanted = body.read(request, schedule_bodies.NewSchedule)
        made = schedules.create(self.principal, wanted.values())
        headers = {"Location": links.to(f"/schedules/{made.pk}")}
        return Response(schedule_shapes.schedule(made), status=201, headers=headers)


class OneSchedule(Endpoint):
    """GET, PATCH and DELETE /schedules/{id}."""

    scopes = {"GET": schedules.READ, "PATCH": schedules.WRITE, "DELETE": schedules.WRITE}
    contract = {
        "GET": Operation("get_schedule", "Read a schedule", **tagged(answers.Schedule)),
        "PATCH": Operation(
            "change_schedule",
            "Change, pause or resume a schedule",
            body=schedule_bodies.ChangeSchedule,
            also=("tasks:write",),
            **changed(answers.Schedule),
        ),
        "DELETE": Operation(
            "delete_schedule", "Delete a schedule; its tasks stay", answers={204: nothing("It is deleted.")}, **AS_READ
        ),
    }

    def get(self, request: Request, schedule_id: str) -> Response:
        found = schedules.get(self.principal, identifier(schedule_id, noun=NOUN))
        return conditional.read(request, schedule_shapes.schedule(found))

    def patch(self, request: Request, schedule_id: str) -> Response:
        """Fields that are not sent stay as they are. From then on its tasks are submitted for the key that has changed
        it."""
        schedule = self._schedule(schedule_id, "tasks:write")
        wanted = body.read(request, schedule_bodies.ChangeSchedule)
        with conditional.as_read(request, schedule_shapes.schedule(schedule), schedule.updated_at) as as_read:
            saved = schedules.change(self.principal, schedule.pk, wanted.values(), as_read=as_read)
        return conditional.tagged(schedule_shapes.schedule(saved))

    def delete(self, request: Request, schedule_id: str) -> Response:
        schedule = self._schedule(schedule_id)
        with conditional.as_read(request, schedule_shapes.schedule(schedule), schedule.updated_at) as as_read:
            schedules.delete(self.principal, schedule.pk, as_read=as_read)
        return Response(status=204)

    def _schedule(self, schedule_id: str, *scopes: str) -> Schedule:
        return schedules.writable(self.principal, identifier(schedule_id, noun=NOUN), *scopes)


class RunSchedule(Endpoint):
    """POST /schedules/{id}/run: a task now."""

    scopes = {"POST": schedules.WRITE}
    contract = {
        "POST": Operation(
            "run_schedule",
            "Start a task of a schedule now",
            body=schemas.Nothing,
            answers={202: one(answers.ScheduleRun, "What was started.", LOCATION)},
            headers=NAMED,
            also=("tasks:write",),
            problems=("too-many-tasks",),
        )
    }

    def post(self, request: Request, schedule_id: str) -> Response:
        """Whether it is paused or not; the times of the clock are not changed by it."""
        schedule = identifier(schedule_id, noun=NOUN)
        named = idempotency.named(request, body.read(request, schemas.Nothing))
        made = schedules.run(self.principal, schedule, named)
        headers = {"Location": links.to(f"/tasks/{made.pk}")}
        return Response(schedule_shapes.run(made), status=202, headers=headers)


class ScheduleRuns(Endpoint):
    """GET /schedules/{id}/runs, newest first."""

    scopes = {"GET": schedules.READ}
    contract = {
        "GET": Operation(
            "list_schedule_runs",
            "List what came of the times of a schedule, newest first",
            query=query.Page,
            answers={200: page(answers.ScheduleRun)},
        )
    }

    def get(self, request: Request, schedule_id: str) -> Response:
        wanted = query.read(request, query.Page)
        rows = schedules.runs(self.principal, identifier(schedule_id, noun=NOUN))
        return pages.page(request, rows, wanted, shapes=shapes.each(schedule_shapes.run))
