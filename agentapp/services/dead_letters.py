"""Jobs that failed for good and wait for a person. [F3]"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from pydantic import ValidationError

from agentapp import registry
from agentapp.dispatch import publisher
from agentapp.errors import InvalidInput, InvalidPayload, NotFound
from agentapp.flows.stages import RUN_TASK
from agentapp.lifecycle import dead_letters as moves
from agentapp.lifecycle import notices
from agentapp.lifecycle.cancel import cancel as cancel_task
from agentapp.models import Effect, Job, Workflow
from agentapp.policies import sentences, storable
from agentapp.runtime import children
from agentapp.services import already_sent, letter_groups, new_task, operations, validation
from agentapp.services.letter_groups import Group
from agentapp.services.principals import Principal
from agentapp.states import EffectState, JobState, Origin

LONGEST_NOTICE = 2_000


def listing(principal: Principal) -> QuerySet[Job]:
    """The dead letters that the principal may see, newest first. To clients those of webhooks are deliveries, which
    have addresses of their own."""
    principal.require("tasks:read")
    dead = Job.objects.filter(state=JobState.DEAD_LETTERED)
    if principal.api_key is not None:
        dead = dead.exclude(workflow__origin=Origin.WEBHOOK)
    return principal.visible(dead).select_related("workflow", "tenant", "stage").order_by("-finished_at")


def get(principal: Principal, job_id: UUID) -> Job:
    """Raises NotFound."""
    job = listing(principal).filter(pk=job_id).first()
    if job is None:
        raise NotFound(f"This tenant has no dead letter {job_id}. It may have been replayed already.")
    return job


def groups(principal: Principal, *, type: str = "", with_drill: bool = True) -> list[Group]:
    """Equal failures together, first those that need a person most: one cause seldom hits one job alone."""
    rows = listing(principal) if with_drill else operations.without_drill(listing(principal))
    return letter_groups.of(rows.filter(type=type) if type else rows)


def doubtful_effects(job: Job) -> list[Effect]:
    """The effects that this dead letter began and of which nobody knows whether they have happened."""
    root = job.workflow.root or job.workflow_id
    # The release before leaves an effect with the task of the line of forks that began it first.
    mine = Q(workflow_id__in={job.workflow_id, *already_sent.lines({root})}, job_id=job.pk)
    if begun_elsewhere := (job.error or {}).get("effect"):
        mine |= Q(pk=begun_elsewhere)
    return list(Effect.objects.filter(mine, tenant_id=job.tenant_id, state=EffectState.UNKNOWN).order_by("key"))


def stages_before(job: Job) -> list[str]:
    """The stages that a dead letter can be replayed from; its own is the last."""
    return moves.stages_before(job)


def replay(
    principal: Principal,
    job_id: UUID,
    *,
    payload: dict[str, Any] | None = None,
    from_stage: str | None = None,
    effect_happened: bool | None = None,
    reason: str = "",
) -> Job:
    """Let a dead letter run again with a fresh attempt budget, with an edited payload where one is given.

    With `from_stage` its task goes back to that stage and does the way from there once more; the dead letter itself
    is then cancelled. `effect_happened=False`: what it had begun to send has not arrived, as somebody found out;
    `reason` says how, or why it is replayed.

    Raises:
        InvalidInput: the edited payload does not fit the job type's signature, or there is no such stage.
        IllegalMove: it was replayed or cancelled in the meantime, or nobody knows whether its effect has happened.
    """
    principal.require("dead_letters:write")
    reason = validation.checked_reason(reason)
    job = _writable(principal, job_id)
    if effect_happened:
        raise InvalidInput.at(
            "effect_happened", "What has happened must not happen again: resolve the dead letter instead."
        )
    if from_stage is not None:
        if payload is not None:
            raise InvalidInput.at("payload", "A stage binds its payload again. Give either a payload or from_stage.")
        opened = moves.replay_from(
            job, from_stage, actor=principal.actor, effect_happened=effect_happened, reason=reason
        )
    else:
        _check_payload(job, payload)
        opened = moves.replay(
            job, actor=principal.actor, payload=payload, effect_happened=effect_happened,
            reason=f"replayed: {reason}" if reason else "replayed",
        )  # fmt: skip
    publisher.publish(opened)
    return _now(job)


def _writable(principal: Principal, job_id: UUID) -> Job:
    job = get(principal, job_id)
    principal.require("dead_letters:write", job.tenant_id)
    return job


def _check_payload(job: Job, payload: dict[str, Any] | None) -> None:
    if payload is None:
        return
    try:
        registry.job_type(job.type).check(payload)
    except InvalidPayload as error:
        found = sentences.field_errors(error.__cause__) if isinstance(error.__cause__, ValidationError) else []
        fields = [{**each, "field": f"payload.{each['field']}"} for each in found]
        raise InvalidInput(str(error), errors=fields or sentences.entries([("payload", str(error))])) from error


def resolve(principal: Principal, job_id: UUID, *, output: Any, reason: str) -> Job:
    """Finish a dead letter by hand: its task goes on with this output, as if the job had returned it.

    Raises:
        InvalidInput: no reason, the output is no JSON object or too large, or what follows cannot be made from it.
        IllegalMove: it was replayed or cancelled in the meantime.
    """
    principal.require("dead_letters:write")
    new_task.check_object("output", output)
    if not reason.strip():
        raise InvalidInput.at("reason", "Say how you know this output.")
    job = _writable(principal, job_id)
    if job.type == RUN_TASK:
        # Nobody waits for that one any more: it must not go on and send something.
        children.end(job.pk, replay=job.replay, actor=principal.actor)
    publisher.publish(moves.resolve(job, output=output, actor=principal.actor, reason=reason))
    return _now(job)


def notify(principal: Principal, job_id: UUID, *, text: str) -> Workflow:
    """Tell the client of a dead letter's task what happened, in words that a person answers for; return that task. Of a
    part of a task it is told the task that the client asked for. The same words again change nothing.

    Raises:
        InvalidInput: no text, too long, or not to be stored.
        IllegalMove: it is no dead letter any more, its task is over or of no client, or has too many notices.
    """
    principal.require("dead_letters:write")
    text = text.strip()
    if not text:
        raise InvalidInput.at("text", "Say what the client is told.")
    if len(text) > LONGEST_NOTICE:
        raise InvalidInput.at("text", f"A notice has at most {LONGEST_NOTICE:,} characters.")
    if not storable.is_storable(text):
        raise InvalidInput.at("text", "It holds a character that cannot be stored.")
    job = _writable(principal, job_id)
    task = client_task(job.workflow)
    notices.notify(task, job, text=text, actor=principal.actor)
    return Workflow.objects.get(pk=task.pk)


def client_task(task: Workflow) -> Workflow:
    """Return the task that somebody asked for, of which this one may be a part."""
    while task.origin == Origin.CHILD and task.parent:
        parent = Workflow.objects.filter(pk=task.parent).first()
        if parent is None:
            break
        task = parent
    return task


def cancel(principal: Principal, job_id: UUID, *, reason: str) -> Job:
    """Give a dead letter up: its task is cancelled with the reason. One whose task is over without it is put away.

    Raises:
        InvalidInput: no reason.
        IllegalMove: somebody was faster.
    """
    principal.require("dead_letters:write")
    if not reason.strip():
        raise InvalidInput.at("reason", "Say why the task is given up.")
    job = _writable(principal, job_id)
    if job.workflow.finished_at is None:
        cancel_task(job.workflow_id, actor=principal.actor, reason=reason)
    else:
        moves.archive(job, actor=principal.actor, reason=reason)
    return _now(job)


def _now(job: Job) -> Job:
    return Job.objects.select_related("workflow", "stage").get(pk=job.pk)
