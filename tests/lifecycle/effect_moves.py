"""Jobs that send under one key, as tests of the fence need them: running, dead, lost."""

from __future__ import annotations

from typing import Any

from agentapp.clock import Clock
from agentapp.lifecycle import effects, lose
from agentapp.lifecycle.fail import dead_letter
from agentapp.lifecycle.opened import Claimed
from agentapp.models import Effect, Job, Workflow
from agentapp.policies.content import canonical_sha256
from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests.lifecycle.test_locks import lease_runs_out, take

KEY = "mail:line-of-forks"
REQUEST = {"to": "reader@sample.test"}
SHA256 = canonical_sha256(REQUEST)
# The timeout of a probe's job, and how late a provider may be.
TIMEOUT_S, LATE_S = 60, 30


def running(principal: Principal) -> Claimed:
    """A job that runs, of a task of its own."""
    workflow = workflows.submit(principal, kind="probe_fan", input={"text": "a", "parts": []})
    claimed = take(Job.objects.get(workflow=workflow, type="probe_first"))
    assert isinstance(claimed, Claimed)
    return claimed


def begin(job: Claimed, asked: effects.Entry | None = None, *, is_idempotent: bool = False) -> effects.Entry:
    return effects.begin(job, KEY, type="mail", request_sha256=SHA256, asked=asked, is_idempotent=is_idempotent)


def next_attempt(job: Claimed) -> Claimed:
    """The lease of an attempt runs out while it hangs, and another one begins."""
    lost(job)
    again = take(Job.objects.get(pk=job.id))
    assert isinstance(again, Claimed)
    return again


def lost(job: Claimed) -> None:
    """The worker of a job dies, and the rescuer ends its attempt."""
    lease_runs_out(Job.objects.get(pk=job.id))
    (row,) = (each for each in lose.expired() if each.pk == job.id)
    assert lose.lose(row, actor="dispatcher") is not None


def state() -> tuple[str, int]:
    effect = Effect.objects.get(key=KEY)
    return effect.state, effect.sends


def dead(workflow: Workflow) -> Job:
    """The job of a task, as a dead letter that does not know what became of the effect."""
    job = take(Job.objects.get(workflow=workflow, type="probe_first"))
    assert isinstance(job, Claimed)
    entry = begin(job)
    if entry.status == "begun":
        effects.mark_unknown(job, entry)
    error = {"class": "EffectUnknown", "kind": "permanent", "message": "in doubt", "effect": str(entry.id)}
    dead_letter(job, error=error, reason="in doubt", worker="test")
    return Job.objects.get(pk=job.id)


def raising(error: Exception) -> Any:
    def call(effect_id: str) -> dict[str, Any]:
        raise error

    return call


def flight_ends(clock: Clock) -> None:
    """A call that hung can no longer arrive."""
    clock.advance(TIMEOUT_S + LATE_S)
