"""What can be done with a task on its page. Each goes back to that page."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from agentapp import registry
from agentapp.admin import queue_forms
from agentapp.admin.base import REFUSALS, principal_of, refuse
from agentapp.console import schema_form, tasks
from agentapp.console.frame import for_people
from agentapp.errors import InvalidInput, NotFound, Overloaded
from agentapp.ids import parsed
from agentapp.models import Workflow
from agentapp.services import approvals, dead_letters, forks, workflows
from agentapp.services import messages as said
from agentapp.streams import tokens

ON_ITS_PAGE = "An approval is decided on its own page, which shows all that is needed for it."


@for_people
@require_POST
def cancel(request: HttpRequest, task_id: UUID) -> HttpResponse:
    reason = request.POST.get("reason", "").strip()
    try:
        workflows.cancel(principal_of(request), task_id, reason=reason)
    except REFUSALS as error:
        return _refused(request, task_id, error, form="cancel", reason=reason)
    messages.success(request, "The task was cancelled. What was done before stays readable.")
    return redirect("console_task", task_id=task_id)


@for_people
@require_POST
def say(request: HttpRequest, task_id: UUID) -> HttpResponse:
    """Say something to a conversation, and show the task that reads it."""
    text = request.POST.get("text", "")
    try:
        message = said.say(principal_of(request), task_id, text=text, is_untrusted="untrusted" in request.POST).message
    except (*REFUSALS, Overloaded) as error:
        return _refused(request, task_id, error, form="say", text=text)
    is_new = message.workflow_id != task_id
    messages.success(request, "The conversation goes on here." if is_new else "The next turn reads your message.")
    return redirect("console_task", task_id=message.workflow_id)


@for_people
@require_POST
def fork(request: HttpRequest, task_id: UUID) -> HttpResponse:
    """Start a new task from a stage of this one; with another input only where the form was changed."""
    principal = principal_of(request)
    task = workflows.get(principal, task_id)
    flow = registry.flows.get((task.kind, task.version))
    shown = schema_form.fields(flow.input.model_json_schema()) if flow else []
    entered = schema_form.read(shown, request.POST.dict())
    stage = request.POST.get("from_stage", "")
    if any(field.error for field in shown):
        messages.error(request, "; ".join(f"{field.label}: {field.error}" for field in shown if field.error))
        return tasks.show(request, task, status=422, form="fork", from_stage=stage, fields=shown)
    is_edited = {name: task.input.get(name) for name in entered} != entered
    try:
        made = forks.fork(principal, task_id, from_stage=stage, input=entered if is_edited else None)
    except (*REFUSALS, Overloaded) as error:
        return _refused(request, task_id, error, form="fork", from_stage=stage, fields=shown)
    messages.success(request, f"This is the fork: it began at {stage}.")
    return redirect("console_task", task_id=made.pk)


@for_people
@require_POST
def look_after(request: HttpRequest, task_id: UUID, approval_id: UUID) -> HttpResponse:
    """Claim, release or snooze an approval, or take one back: nothing is decided by that."""
    form = request.POST.get("decision", "")
    try:
        approval = approvals.to_decide(principal_of(request), approval_id)
        if form not in queue_forms.FORMS:
            raise InvalidInput(ON_ITS_PAGE)
        queue_forms.do(request, approval, form)
    except REFUSALS as error:
        return _refused(request, task_id, error)
    return redirect("console_task", task_id=task_id)


@for_people
@require_POST
def replay(request: HttpRequest, task_id: UUID, job_id: UUID) -> HttpResponse:
    try:
        dead_letters.replay(principal_of(request), job_id)
    except REFUSALS as error:
        return _refused(request, task_id, error)
    messages.success(request, "The job was replayed: it runs again.")
    return redirect("console_task", task_id=task_id)


@for_people
@require_POST
def stream_token(request: HttpRequest) -> HttpResponse:
    """A token with which the page follows a task, or all that this person may see. [A3]"""
    principal = principal_of(request)
    task = parsed(request.POST.get("task", ""))
    if task is not None:
        workflows.get(principal, task)
    token, _ = tokens.issue(principal, task=task)
    return JsonResponse({"token": token}, headers={"Cache-Control": "no-store"})


def _refused(request: HttpRequest, task_id: UUID, error: Exception, **typed: Any) -> HttpResponse:
    """Show the task as it is now, with the sentence that says why nothing was done."""
    if isinstance(error, NotFound):
        raise error
    status = 429 if isinstance(error, Overloaded) else refuse(request, error)
    if isinstance(error, Overloaded):
        messages.error(request, str(error))
    task: Workflow = workflows.get(principal_of(request), task_id)
    return tasks.show(request, task, status=status, **typed)
