"""The list of tasks and the page of one. Their parts are fetched again by the page when something has happened."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from agentapp import clock, registry
from agentapp.admin import cells, evidence, masking, notices, queue_forms, timeline, waits
from agentapp.admin.base import principal_of
from agentapp.admin.tasks import TaskAdmin, give_reasons
from agentapp.console import schema_form
from agentapp.console.frame import for_people, fragment
from agentapp.console.frame import page as whole_page
from agentapp.ids import parsed
from agentapp.models import Approval, Job, Workflow
from agentapp.services import (
    already_sent,
    approvals,
    dead_letters,
    deciders,
    forks,
    gates,
    kinds,
    messages,
    task_filters,
    workflows,
)
from agentapp.services.principals import Principal
from agentapp.states import WORKFLOW_FINAL, ApprovalState, WorkflowState

ROWS = 50
# Of a task that fanned out, so many dead letters are shown; the admin has them all.
MOST_LETTERS = 20
# The others are in the inbox.
MOST_ASKED = 20
MOST_MESSAGES = 50


@for_people
@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """The kinds that can be submitted, and the latest tasks."""
    context = {"title": "Console", "kinds": kinds.listing(), **_listed(request)}
    return whole_page(request, "console/index.html", context)


@for_people
@require_safe
def rows(request: HttpRequest) -> HttpResponse:
    return fragment(request, "console/rows.html", _listed(request))


def _listed(request: HttpRequest) -> dict[str, Any]:
    """A page of tasks, newest first; `before` is the last id of the page before. There is no total: counting a million
    tasks would take longer than all the rest."""
    state, kind, q, before = (request.GET.get(name, "") for name in ("state", "kind", "q", "before"))
    found = masking.searchable(principal_of(request), workflows.listing(principal_of(request)), q)
    if q:
        found = task_filters.saying(principal_of(request), found, q)
    if state in WorkflowState.values:
        found = found.filter(state=state)
    if kind:
        found = found.filter(kind=kind[:100].replace("\x00", ""))
    if last := parsed(before):
        found = found.filter(pk__lt=last)
    shown = list(found[: ROWS + 1])
    masking.mask(principal_of(request), shown, TaskAdmin.masked_fields)
    for task in shown:
        task.headline = cells.headline(task.input) or task.kind
    give_reasons(shown)
    query = request.GET.copy()
    query.pop("before", None)
    newest = query.urlencode()
    if len(shown) > ROWS:
        query["before"] = str(shown[ROWS - 1].pk)
    return {
        "tasks": shown[:ROWS], "states": WorkflowState.values, "state": state, "kind": kind, "q": q, "before": before,
        "newest": newest, "older": query.urlencode() if len(shown) > ROWS else "",
    }  # fmt: skip


@for_people
@require_safe
def page(request: HttpRequest, task_id: UUID) -> HttpResponse:
    """One task, with all that can be done with it."""
    return show(request, workflows.get(principal_of(request), task_id))


@for_people
@require_safe
def parts(request: HttpRequest, task_id: UUID) -> HttpResponse:
    task = workflows.get(principal_of(request), task_id)
    return fragment(request, "console/parts.html", _parts(request, task))


def show(request: HttpRequest, task: Workflow, *, status: int = 200, **typed: Any) -> HttpResponse:
    """Render the page of a task; `typed` keeps what a person had entered when it was refused."""
    masking.mask(principal_of(request), [task], TaskAdmin.masked_fields)
    context = {"title": cells.headline(task.input) or task.kind, "typed": typed}
    return whole_page(request, "console/task.html", context | _parts(request, task), status=status)


def _parts(request: HttpRequest, task: Workflow) -> dict[str, Any]:
    principal = principal_of(request).as_in(task.tenant_id)
    is_over = task.state in WORKFLOW_FINAL
    flow = registry.flows.get((task.kind, task.version))
    may_write = "tasks:write" in principal.scopes
    is_masked = masking.hides(principal, task.tenant_id)
    masking.mask(principal, [task], TaskAdmin.masked_fields)
    fork_stages = forks.possible_stages(flow) if flow and may_write and not is_masked else []
    return {
        "task": task,
        "is_over": is_over,
        "flow": flow,
        "notices": notices.of(task),
        "took": cells.duration(((task.finished_at or clock.now()) - task.created_at).total_seconds()),
        "waits": waits.of(task, with_limits=gates.READ in principal.scopes),
        "timeline": timeline.draw(task),
        **_approvals(request, principal, task, is_masked=is_masked),
        "letters": _letters(request, task),
        "messages_said": [] if is_masked else _messages(request, task),
        "is_masked": is_masked,
        "can_say": may_write and messages.takes(task),
        "can_cancel": may_write and not is_over,
        "fork_stages": fork_stages,
        "already_sent": already_sent.by_line_of(task) if fork_stages else [],
        "fork_fields": _input_fields(task) if flow else [],
        "can_replay": "dead_letters:write" in principal.scopes,
    }  # fmt: skip


def _approvals(request: HttpRequest, principal: Principal, task: Workflow, *, is_masked: bool) -> dict[str, Any]:
    """The approvals of a task that wait for a person, and one whose mail is held."""
    if is_masked or "approvals:read" not in principal.scopes:
        return {"approvals": [], "held": None}
    is_held = Q(state=ApprovalState.APPROVED, held_until__gt=clock.now())
    rows = approvals.listing(principal).filter(Q(state=ApprovalState.PENDING) | is_held, workflow=task)
    waiting = [row for row in rows if row.state == ApprovalState.PENDING]
    held = next((row for row in rows if row not in waiting and "approvals:decide" in principal.scopes), None)
    return {"approvals": [_approval(request, principal, row) for row in waiting[:MOST_ASKED]], "held": held}


def _approval(request: HttpRequest, principal: Principal, approval: Approval) -> dict[str, Any]:
    return {
        **queue_forms.looked_after(request, approval),
        "takes_part": deciders.takes_part(principal, approval),
        "refusal": deciders.refusal(principal, approval),
        "record": approval,
        **evidence.shown(approval.content),
    }


def _messages(request: HttpRequest, task: Workflow) -> list[dict[str, Any]]:
    """The latest messages of the conversation, oldest first."""
    found = list(messages.listing(principal_of(request), task.pk).reverse()[:MOST_MESSAGES])[::-1]
    turns = messages.read_by(found)
    return [{"record": one, "is_own": one.workflow_id == task.pk, "turn": turns.get(one.pk)} for one in found]


def _letters(request: HttpRequest, task: Workflow) -> list[Job]:
    return list(dead_letters.listing(principal_of(request)).filter(workflow=task)[:MOST_LETTERS])


def _input_fields(task: Workflow) -> list[schema_form.Field]:
    flow = registry.flows[task.kind, task.version]
    shown = schema_form.fields(flow.input.model_json_schema())
    schema_form.fill(shown, task.input)
    return shown
