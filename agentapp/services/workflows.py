"""Submitting tasks and looking at them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from agentapp import clock, conf, failpoints, flows
from agentapp.dispatch import publisher, waking
from agentapp.errors import AskedBefore, NotFound, Overloaded
from agentapp.ids import uuid7
from agentapp.lifecycle.cancel import cancel as cancel_task
from agentapp.lifecycle.opened import Opened
from agentapp.lifecycle.submit import NamedRequest, check_new
from agentapp.lifecycle.submit import submit as write_down
from agentapp.models import Job, Workflow
from agentapp.observability.tracing import Span
from agentapp.policies import intake
from agentapp.policies.counting import count
from agentapp.policies.intake import QueuePressure
from agentapp.policies.permissions import PAYLOADS
from agentapp.services import idempotency, new_task
from agentapp.services.principals import Principal, owner
from agentapp.states import TASK_ORIGINS, Origin


@dataclass(frozen=True)
class Accepted:
    """A task that was written down, what was opened, and how many tasks wait. `is_repeated`: by an earlier request with
    the same name."""

    workflow: Workflow
    opened: Opened
    pressure: QueuePressure
    is_repeated: bool = False

    @property
    def estimated_start_at(self) -> datetime | None:
        """When it should begin, where so many wait that it will be late."""
        seconds = intake.starts_in_s(self.pressure, soft_mark=conf.soft_mark())
        return None if seconds is None else clock.now() + timedelta(seconds=seconds)


def submit(principal: Principal, *, kind: str, input: Any, **more: Any) -> Workflow:
    """Accept a task, as `accept` does, and return it."""
    return accept(principal, kind=kind, input=input, **more).workflow


def accept(
    principal: Principal,
    *,
    kind: str,
    input: Any,
    priority: str = "normal",
    labels: dict[str, str] | None = None,
    deadline_s: float | None = None,
    run_at: datetime | None = None,
    callback_url: str | None = None,
    tenant_id: int | None = None,
    request: NamedRequest | None = None,
    traceparent: str = "",
) -> Accepted:
    """Accept a task: checked, written down and committed, in one round trip; then published, if the broker is there.

    The newest version of the kind is taken, and the run keeps it. It does not begin before `run_at`; if it is open
    `deadline_s` seconds later, it fails. `callback_url` is told what becomes of it, as a webhook endpoint is. It
    belongs to the trace of `traceparent`, or else to one of its own. The same `request` once more returns the first.

    Raises:
        InvalidInput: with all that does not fit of kind, input, priority, labels, times and URL; nothing is stored.
        KeyUsedOtherwise, BeingAsked: see idempotency.once.
        Overloaded: too many tasks wait, of the tenant or in all; nothing is stored.
        NotFound, PermissionDenied: the tenant is another's; the scope tasks:write, or one of the kind, is missing.
    """
    principal.require("tasks:write")
    tenant = _tenant_of(principal, tenant_id, callback_url)
    if request and callback_url and (earlier := _earlier(principal, request, tenant)):
        return earlier
    given = {"kind": kind, "input": input, "priority": priority, "labels": labels or {}, "deadline_s": deadline_s}
    wanted = new_task.check(principal, given | {"run_at": run_at, "callback_url": callback_url})
    flow = new_task.permitted(principal, wanted.flow, tenant)
    workflow = Workflow(
        id=uuid7(), tenant_id=tenant, kind=kind, version=flow.version,
        priority=wanted.priority, input=wanted.input, labels=wanted.labels, result_bind=flows.paths_of(flow.result),
        run_at=run_at, callback_url=callback_url or "", traceparent=traceparent, **owner(principal),
    )  # fmt: skip
    plan = {"stages": flows.plan(flow), "actor": principal.actor, "deadline_s": deadline_s, "request": request}
    return _written_down(principal, workflow, plan)


def name_task(span: Span, task: Workflow) -> None:
    """Put the task on the span of the request or the schedule that has started it."""
    span.set({"agentapp.task.id": str(task.pk), "agentapp.task.kind": task.kind})


def _tenant_of(principal: Principal, tenant_id: int | None, callback_url: str | None) -> int:
    """The tenant of a task. A callback_url is told input and result: only a key that sees payloads names one."""
    tenant = principal.chosen_tenant(tenant_id, needs="tasks:write")
    if callback_url and principal.api_key is not None:
        principal.require(PAYLOADS, tenant)
    return tenant


def _earlier(principal: Principal, request: NamedRequest, tenant_id: int) -> Accepted | None:
    """Return what was made of an equal request before its URL is looked up, which need not resolve any longer."""
    try:
        check_new(request, tenant_id=tenant_id)
    except AskedBefore as earlier:
        return _repeated(principal, earlier)
    return None


def _written_down(principal: Principal, workflow: Workflow, plan: dict[str, Any]) -> Accepted:
    failpoints.hit("submit.before", workflow.kind)
    try:
        with idempotency.once(plan["request"]):
            opened, pressure = write_down(workflow, **plan)
    except AskedBefore as earlier:
        return _repeated(principal, earlier)
    failpoints.hit("submit.after", workflow.kind)
    if pressure.refused:
        raise overloaded(pressure)
    publisher.publish(opened)
    return Accepted(workflow, opened, pressure)


def _repeated(principal: Principal, earlier: AskedBefore) -> Accepted:
    # Who may only write was shown this task by the first answer.
    return Accepted(_found(principal, earlier.workflow_id), Opened(), QueuePressure(), is_repeated=True)


def overloaded(pressure: QueuePressure) -> Overloaded:
    """Say that too many tasks wait, and for how long."""
    wait_s = intake.retry_after_s(pressure)
    whose, waiting, most = "here", pressure.platform_waiting, pressure.platform_most
    if pressure.refused == "tenant":
        whose, waiting, most = "of this tenant", pressure.waiting, pressure.most
    sentence = (
        f"{count(waiting, 'task')} {whose} waiting to begin; no more than {most:,} may. "
        f"Send it again in {count(wait_s, 'second')}."
    )
    return Overloaded(sentence, retry_after_s=wait_s, most=pressure.most, left=pressure.left)


def listing(principal: Principal, *, parent: UUID | None = None) -> QuerySet[Workflow]:
    """The tasks that the principal may see, newest first: those that somebody has asked for, or the parts of one."""
    principal.require("tasks:read")
    if parent is not None:
        return _mine(principal).filter(parent=parent, origin=Origin.CHILD).order_by("-id")
    return _mine(principal).exclude(origin=Origin.CHILD).order_by("-id")


def forks(principal: Principal, origin: UUID) -> QuerySet[Workflow]:
    """The forks of a task that the principal may see, newest first."""
    return _mine(principal).filter(forked_from=origin).order_by("-id")


def _mine(principal: Principal) -> QuerySet[Workflow]:
    origins = (*TASK_ORIGINS, Origin.CHILD)
    return principal.visible(Workflow.objects.filter(origin__in=origins)).select_related("tenant")


def get(principal: Principal, workflow_id: UUID) -> Workflow:
    """Raises NotFound; another tenant's task is as unknown as one that does not exist."""
    principal.require("tasks:read")
    return _found(principal, workflow_id)


def _found(principal: Principal, workflow_id: UUID) -> Workflow:
    workflow = _mine(principal).filter(pk=workflow_id).first()
    if workflow is None:
        raise NotFound(f"This tenant has no task {workflow_id}.")
    return workflow


def jobs(principal: Principal, workflow_id: UUID) -> QuerySet[Job]:
    """The jobs of a task in the order of its plan."""
    workflow = get(principal, workflow_id)
    return Job.objects.filter(workflow=workflow).select_related("stage").order_by("stage__position", "part")


def cancel(principal: Principal, workflow_id: UUID, *, reason: str) -> Workflow:
    """End a task. Raises IllegalMove when it is over already."""
    principal.require("tasks:write")
    workflow = get(principal, workflow_id)
    principal.require("tasks:write", workflow.tenant_id)
    cancel_task(workflow.pk, actor=principal.actor, reason=reason or "cancelled")
    # Its slots are free: others may have waited for them.
    waking.wake()
    return get(principal, workflow_id)
