"""Submitting tasks and looking at them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pydantic
from django.db.models import QuerySet

from agentapp import clock, conf, failpoints, flows, registry
from agentapp.dispatch import publisher, waking
from agentapp.errors import AskedBefore, InvalidInput, NotFound, Overloaded
from agentapp.ids import uuid7
from agentapp.lifecycle.cancel import cancel as cancel_task
from agentapp.lifecycle.opened import Opened
from agentapp.lifecycle.submit import Request
from agentapp.lifecycle.submit import submit as write_down
from agentapp.models import Job, Workflow
from agentapp.policies import intake, sentences, storable
from agentapp.policies import priority as priorities
from agentapp.policies.counting import count
from agentapp.policies.intake import QueuePressure
from agentapp.services import requests
from agentapp.services.principals import Principal, owner
from agentapp.states import Origin

MAX_LABELS = 20
MAX_LABEL_CHARACTERS = 100
LONGEST_DEADLINE_S = 90 * 24 * 3600
LONGEST_AHEAD = timedelta(days=366)


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
    tenant_id: int | None = None,
    request: Request | None = None,
) -> Accepted:
    """Accept a task: checked, written down and committed, in one round trip; then published, if the broker is there.

    The newest version of the kind is taken, and the run keeps it. It does not begin before `run_at`; if it is open
    `deadline_s` seconds later, it fails. The same `request` once more makes no second task: the first is returned.

    Raises:
        InvalidInput: unknown kind, or an input, priority or label that does not fit; nothing is stored.
        KeyUsedOtherwise, BeingAsked: see requests.once.
        Overloaded: too many tasks wait, of the tenant or in all; nothing is stored.
        NotFound, PermissionDenied: the tenant is another's; the scope tasks:write is missing.
    """
    principal.require("tasks:write")
    flow = _flow(principal, kind)
    workflow = Workflow(
        id=uuid7(), tenant_id=principal.chosen_tenant(tenant_id), kind=kind, version=flow.version,
        priority=_priority(priority), input=check_input(flow, input), labels=check_labels(labels or {}),
        result_bind=flows.paths_of(flow.result), run_at=_check_run_at(run_at), **owner(principal),
    )  # fmt: skip
    _check_deadline(deadline_s)
    plan = {"stages": flows.plan(flow), "actor": principal.actor, "deadline_s": deadline_s, "request": request}
    return _written_down(principal, workflow, plan)


def _written_down(principal: Principal, workflow: Workflow, plan: dict[str, Any]) -> Accepted:
    failpoints.hit("submit.before", workflow.kind)
    try:
        with requests.once(plan["request"]):
            opened, pressure = write_down(workflow, **plan)
    except AskedBefore as earlier:
        return Accepted(get(principal, earlier.workflow_id), Opened(), QueuePressure(), is_repeated=True)
    failpoints.hit("submit.after", workflow.kind)
    if pressure.refused:
        raise overloaded(pressure)
    publisher.publish(opened)
    return Accepted(workflow, opened, pressure)


def _check_deadline(deadline_s: float | None) -> None:
    if deadline_s is not None and not 1 <= deadline_s <= LONGEST_DEADLINE_S:
        raise InvalidInput.at("deadline_s", f"deadline_s must be between 1 and {LONGEST_DEADLINE_S:,} seconds.")


def _check_run_at(run_at: datetime | None) -> datetime | None:
    if run_at is None:
        return None
    if run_at.tzinfo is None:
        raise InvalidInput.at("run_at", "Write the time with its zone, as in 2025-01-31T08:00:00Z.")
    if run_at > clock.now() + LONGEST_AHEAD:
        raise InvalidInput.at("run_at", f"run_at may be {LONGEST_AHEAD.days} days ahead. Submit it later.")
    return run_at


def overloaded(pressure: QueuePressure) -> Overloaded:
    """Say that too many tasks wait, and for how long."""
    wait_s = intake.retry_after_s(pressure)
    whose, waiting, most = "here", pressure.platform_waiting, pressure.platform_most
    if pressure.refused == "tenant":
        whose, waiting, most = "of this workspace", pressure.waiting, pressure.most
    sentence = (
        f"{count(waiting, 'task')} {whose} waiting to begin; no more than {most:,} may. "
        f"Send it again in {count(wait_s, 'second')}."
    )
    return Overloaded(sentence, retry_after_s=wait_s, most=pressure.most, left=pressure.left)


def _flow(principal: Principal, kind: str) -> flows.Flow:
    flow = registry.latest_flow(kind)
    if flow is None or (flow.internal and not _runs_the_platform(principal)):
        known = ", ".join(registry.kinds())
        raise InvalidInput.at("kind", f"There is no task kind {kind!r}. Choose one of: {known}.")
    return flow


def _runs_the_platform(principal: Principal) -> bool:
    """A superuser, or the platform itself; an API key is a client, whatever its scopes."""
    return principal.api_key is None and (principal.user is None or principal.tenant_ids is None)


def _priority(name: str) -> int:
    if name not in priorities.NAMES:
        raise InvalidInput.at(
            "priority", f"There is no priority {name!r}. Choose one of: {', '.join(priorities.NAMES)}."
        )
    return priorities.by_name(name)


def check_input(flow: flows.Flow, input: Any) -> dict[str, Any]:
    """Return the input as its workflow kind takes it.

    Raises:
        InvalidInput: with one entry in `errors` per field.
    """
    check_object("input", input, too_large="Load long texts as documents.")
    try:
        return flow.input.model_validate(input).model_dump(mode="json")
    except pydantic.ValidationError as error:
        errors = [item | {"field": f"input.{item['field']}"} for item in sentences.field_errors(error)]
        raise InvalidInput(f"The input does not fit {flow.kind}. {sentences.detail(errors)}", errors=errors) from error


def check_object(field: str, value: Any, *, too_large: str = "") -> None:
    """See that a value is a JSON object that a row can hold; `too_large` says what to do with a larger one.

    Raises:
        InvalidInput: it is none.
    """
    if not isinstance(value, dict):
        raise InvalidInput.at(field, f"The {field} must be a JSON object.")
    for path, sentence in storable.problems(value, field):
        raise InvalidInput.at(path, sentence)
    if len(json.dumps(value)) > conf.max_input_bytes():
        raise InvalidInput.at(field, f"It is larger than {conf.max_input_bytes()} bytes. {too_large}".rstrip())


def check_labels(labels: Any) -> dict[str, str]:
    """Return labels: at most twenty short strings by name. Raises InvalidInput."""
    if not isinstance(labels, dict) or len(labels) > MAX_LABELS:
        raise InvalidInput.at("labels", f"Labels must be an object with at most {MAX_LABELS} entries.")
    for name, value in labels.items():
        is_short = isinstance(value, str) and max(len(name), len(value)) <= MAX_LABEL_CHARACTERS
        if not is_short or not storable.is_storable(name + value):
            sentence = f"A label must be a text of at most {MAX_LABEL_CHARACTERS} characters."
            raise InvalidInput.at(f"labels.{name[:MAX_LABEL_CHARACTERS]}", sentence)
    return labels


def listing(principal: Principal) -> QuerySet[Workflow]:
    """The tasks that the principal may see, newest first."""
    principal.require("tasks:read")
    mine = Workflow.objects.filter(origin=Origin.CLIENT)
    return principal.visible(mine).select_related("tenant").order_by("-id")


def get(principal: Principal, workflow_id: UUID) -> Workflow:
    """Raises NotFound; another tenant's task is as unknown as one that does not exist."""
    workflow = listing(principal).filter(pk=workflow_id).first()
    if workflow is None:
        raise NotFound(f"There is no task {workflow_id} in this workspace.")
    return workflow


def jobs(principal: Principal, workflow_id: UUID) -> QuerySet[Job]:
    """The jobs of a task in the order of its plan."""
    workflow = get(principal, workflow_id)
    return Job.objects.filter(workflow=workflow).select_related("stage").order_by("stage__position", "part")


def cancel(principal: Principal, workflow_id: UUID, *, reason: str) -> Workflow:
    """End a task. Raises IllegalMove when it is over already."""
    principal.require("tasks:write")
    workflow = get(principal, workflow_id)
    cancel_task(workflow.pk, actor=principal.actor, reason=reason or "cancelled")
    # Its slots are free: others may have waited for them.
    waking.wake()
    return get(principal, workflow_id)
