"""/tasks: submit, list, read, cancel, fork; and the jobs that a task consists of."""

from __future__ import annotations

from functools import partial

from django.db.models import QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from agentapp import clock
from agentapp.api import approval_shapes, body, conditional, idempotency, links, pages, problems, query, schemas, shapes
from agentapp.api.answers import tasks as answers
from agentapp.api.answers.forks import ForkedTask
from agentapp.api.contract.headers import LOCATION, NAMED, RATE_LIMIT, REPLAYED, RETRY_AFTER, TRACED, TRACEPARENT
from agentapp.api.contract.operation import Operation, nothing, one, page
from agentapp.api.endpoint import Endpoint, identifier
from agentapp.errors import NotFound
from agentapp.lifecycle import replica
from agentapp.models import Job, Workflow
from agentapp.observability import tracing
from agentapp.policies import polling, traceparent
from agentapp.services import already_sent, forks, new_task, task_filters, workflows
from agentapp.states import WORKFLOW_FINAL, Origin, WorkflowState
from agentapp.streams import access, handover, hub
from agentapp.streams.following import FollowTask
from agentapp.streams.waiting import Wait


class Tasks(Endpoint):
    """POST /tasks, GET /tasks."""

    scopes = {"GET": "tasks:read", "POST": "tasks:write"}
    contract = {
        "GET": Operation(
            "list_tasks", "List tasks, newest first", query=query.Tasks, answers={200: page(answers.Task)}
        ),
        "POST": Operation(
            "submit_task",
            "Submit a task",
            body=schemas.Submit,
            answers={
                202: one(
                    answers.Task, "The task is committed, and will run.", LOCATION, optional=(*RATE_LIMIT, REPLAYED)
                )
            },
            headers=NAMED | TRACED,
            problems=("too-many-tasks",),
        ),
    }

    def post(self, request: Request) -> Response:
        """Accept a task: 202 after it is committed; a broker that is down does not matter."""
        wanted = body.read(request, schemas.Submit, more=partial(new_task.problems, self.principal))
        named = idempotency.named(request, wanted)
        given = traceparent.read(request.headers.get(TRACEPARENT, ""))
        with tracing.span("POST /tasks", {"http.request.method": "POST"}, kind="server", parent=given) as span:
            trace = span.traceparent or given
            accepted = workflows.accept(self.principal, request=named, traceparent=trace, **wanted.model_dump())
            workflows.name_task(span, accepted.workflow)
        task, pressure = accepted.workflow, accepted.pressure
        headers = {"Location": links.to(f"/tasks/{task.pk}")}
        if accepted.is_repeated:
            headers |= {idempotency.REPLAYED: "true"}
        else:
            headers |= problems.rate_limit(most=pressure.most, left=pressure.left)
        return Response(shapes.accepted(accepted), status=202, headers=headers)

    def get(self, request: Request) -> Response:
        return replica.read(lambda: self._page(request, query.read(request, query.Tasks)))

    def _page(self, request: Request, wanted: query.Tasks) -> Response:
        rows = task_filters.matching(
            self.principal, workflows.listing(self.principal, parent=wanted.parent), state=wanted.state,
            kind=wanted.kind, label=dict(wanted.label), created_after=wanted.created_after,
            created_before=wanted.created_before, updated_after=wanted.updated_after, q=wanted.q,
        )  # fmt: skip
        return pages.page(request, rows, wanted, shapes=shapes.tasks)


class Task(Endpoint):
    """GET /tasks/{id}."""

    scopes = {"GET": "tasks:read"}
    contract = {
        "GET": Operation(
            "get_task",
            "Read a task",
            query=query.Task,
            answers={
                200: one(answers.Task, "", "ETag", optional=(RETRY_AFTER,)),
                304: nothing("Nothing has changed.", "ETag", optional=(RETRY_AFTER,)),
            },
            headers={"If-None-Match": "The `ETag` of the answer before, for a client that polls."},
        )
    }

    def get(self, request: Request, task_id: str) -> Response:
        wanted = query.read(request, query.Task)
        row = workflows.get(self.principal, identifier(task_id, noun="task"))
        shown = shapes.task(row)
        tag = conditional.weak_tag(polling.news(shown))
        headers = {"ETag": tag, **conditional.KEPT_BY_CLIENTS}
        starts_at = row.run_at if row.state == WorkflowState.SCHEDULED else shapes.moment(shown["estimated_start_at"])
        wait_s = polling.retry_after_s(row.state, starts_at=starts_at, now=clock.now())
        if wait_s is not None:
            headers["Retry-After"] = str(wait_s)
        is_known = conditional.is_known(request, tag)
        if wanted.wait:
            self._wait(row, wanted.wait, is_known=is_known)
        return Response(status=304, headers=headers) if is_known else Response(shown, headers=headers)

    def _wait(self, row: Workflow, seconds: int, *, is_known: bool) -> None:
        """Let the answer wait, where the client has what there is, or wants to hear of the end. [A4]"""
        found = handover.of(self.request._request)
        for_state = "If-None-Match" not in self.request.headers
        is_awaited = row.state not in polling.AT_REST if for_state else is_known and row.state not in WORKFLOW_FINAL
        if found is not None and is_awaited and not hub.is_full() and (left_s := found.may_wait(seconds)):
            follow = FollowTask(access.of(self.principal), row.pk, row.seq)
            found.wait = Wait(follow, left_s, for_state=for_state)


class TaskJobs(Endpoint):
    """GET /tasks/{id}/jobs, in the order of the plan."""

    scopes = {"GET": "tasks:read"}
    contract = {
        "GET": Operation(
            "list_task_jobs",
            "List the jobs of a task in the order of its plan",
            query=query.Page,
            answers={200: page(answers.Job)},
        )
    }

    def get(self, request: Request, task_id: str) -> Response:
        wanted = query.read(request, query.Page)
        rows = workflows.jobs(self.principal, identifier(task_id, noun="task"))
        return pages.page(request, with_attempts(rows), wanted, shapes=shapes.each(shapes.job), order=pages.PLAN)


class CancelTask(Endpoint):
    """POST /tasks/{id}/cancel."""

    scopes = {"POST": "tasks:write"}
    contract = {
        "POST": Operation(
            "cancel_task",
            "Cancel a task",
            body=schemas.Cancel,
            answers={200: one(answers.Task, "The task, which has ended.")},
            problems=("conflict",),
            also=("tasks:read",),
        )
    }

    def post(self, request: Request, task_id: str) -> Response:
        task = identifier(task_id, noun="task")
        wanted = body.read(request, schemas.Cancel)
        return Response(shapes.task(workflows.cancel(self.principal, task, reason=wanted.reason)))


class ForkTask(Endpoint):
    """POST /tasks/{id}/fork: a new task, from the middle of this one."""

    scopes = {"POST": "tasks:write"}
    contract = {
        "POST": Operation(
            "fork_task",
            "Start a new task from one of its stages",
            body=schemas.Fork,
            answers={202: one(ForkedTask, "The new task.", LOCATION)},
            headers=NAMED,
            problems=("conflict", "too-many-tasks"),
            also=("tasks:read",),
        )
    }

    def post(self, request: Request, task_id: str) -> Response:
        origin = identifier(task_id, noun="task")
        wanted = body.read(request, schemas.Fork)
        named = idempotency.named(request, wanted)
        task = forks.fork(self.principal, origin, from_stage=wanted.from_stage, input=wanted.input, request=named)
        sent = [approval_shapes.sent_already(each) for each in already_sent.by_line_of(task) if each.task != task.pk]
        shape: ForkedTask = {**shapes.task(task), "already_sent": sent}
        return Response(shape, status=202, headers={"Location": links.to(f"/tasks/{task.pk}")})


class OneJob(Endpoint):
    """GET /jobs/{id}."""

    scopes = {"GET": "tasks:read"}
    contract = {"GET": Operation("get_job", "Read a job with its payload", answers={200: one(answers.WholeJob)})}

    def get(self, request: Request, job_id: str) -> Response:
        wanted = identifier(job_id, noun="job")
        # To clients a job that sends a webhook is a delivery, which has an address of its own.
        rows = Job.objects.filter(pk=wanted).exclude(workflow__origin=Origin.WEBHOOK)
        found = with_attempts(self.principal.visible(rows)).first()
        if found is None:
            raise NotFound(f"This tenant has no job {wanted}.")
        return Response(shapes.whole_job(found))


def with_attempts(rows: QuerySet[Job]) -> QuerySet[Job]:
    """Fetch what a job's shape shows beside the job: two statements for any number of rows."""
    return rows.select_related("stage").prefetch_related("attempts")
