"""A new task from the middle of an earlier one. [A7]"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from agentapp import flows, registry
from agentapp.dispatch import publisher
from agentapp.errors import AskedBefore, IllegalMove, InvalidInput
from agentapp.ids import uuid7
from agentapp.lifecycle.fork import fork as write_down
from agentapp.lifecycle.submit import NamedRequest
from agentapp.models import Workflow
from agentapp.policies import sentences
from agentapp.policies.sentences import FieldErrors
from agentapp.services import idempotency, new_task, workflows
from agentapp.services.principals import Principal, owner


def fork(
    principal: Principal,
    workflow_id: UUID,
    *,
    from_stage: str | None,
    input: Any = None,
    request: NamedRequest | None = None,
) -> Workflow:
    """Start a task of the same kind and version at `from_stage`; what the origin did before is shared.

    With another `input` the shared stages stay as they are: only what runs now reads it. Effects are keyed by the
    first task of the line, so that nothing is sent twice.

    Raises:
        InvalidInput: an unknown stage, one behind a decision, or an input that does not fit; nothing is stored.
        IllegalMove: the origin has not come as far, or its version is no longer part of this release.
        Overloaded: too many tasks wait; a fork is one more.
        NotFound, PermissionDenied, KeyUsedOtherwise, BeingAsked: as for any task.
    """
    principal.require("tasks:write")
    origin = workflows.get(principal, workflow_id)
    principal.require("tasks:write", origin.tenant_id)
    flow = registry.flows.get((origin.kind, origin.version))
    if flow is None:
        raise IllegalMove(f"Version {origin.version} of {origin.kind} is no longer here. Submit a new task.")
    remaining, edited = _checked(flow, from_stage, input)
    fork_id = uuid7()
    try:
        with idempotency.once(request):
            opened, pressure = write_down(
                origin.pk, fork_id=fork_id, from_stage=remaining[0]["name"], stages=remaining,
                result_bind=flows.paths_of(flow.result), owner=owner(principal), actor=principal.actor, input=edited,
                request=request,
            )  # fmt: skip
    except AskedBefore as earlier:
        return workflows.get(principal, earlier.workflow_id)
    if pressure.refused:
        raise workflows.overloaded(pressure)
    publisher.publish(opened)
    return workflows.get(principal, fork_id)


def _checked(
    flow: flows.Flow, from_stage: str | None, input: Any
) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """Return the plan from the stage on, and the new input. Raises InvalidInput with all that is wrong."""
    found: FieldErrors = []
    remaining = new_task.gather(found, lambda: _from(flow, from_stage))
    edited = None if input is None else new_task.gather(found, lambda: new_task.check_input(flow, input))
    if found or remaining is None:
        alone = found[0]["message"] if len(found) == 1 else ""
        raise InvalidInput(alone or sentences.detail(found), errors=found)
    return remaining, edited


def possible_stages(flow: flows.Flow) -> list[str]:
    """Return where a fork may start: every stage up to the first decision."""
    names: list[str] = []
    for stage in flow.stages:
        names.append(stage.name)
        if isinstance(stage, flows.Decision):
            break
    return names


def _from(flow: flows.Flow, name: str | None) -> list[dict[str, Any]]:
    """Return the plan from a stage on."""
    possible = possible_stages(flow)
    if name in possible:
        return flows.plan(flow)[possible.index(name) :]
    if name in [stage.name for stage in flow.stages]:
        sentence = (
            "A fork cannot start behind a decision, because an approval is good for one run. "
            f"Start at {possible[-1]} or earlier: {', '.join(possible)}."
        )
    else:
        said = f"There is no stage {name!r} in {flow.kind}. " if name else ""
        sentence = f"{said}Say from which stage: {', '.join(possible)}."
    raise InvalidInput.at("from_stage", sentence)
