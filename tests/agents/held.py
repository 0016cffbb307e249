"""One job on a pool of threads, or on a pool of child processes; it stays until it is let go, if it is told so."""

from __future__ import annotations

from typing import Any

import pydantic

from agentapp import registry
from agentapp.errors import TransientError
from agentapp.flows import FanOut, Flow, Step
from agentapp.policies.retry import RetryPolicy
from agentapp.runtime import JobContext, job
from tests import recorder
from tests.agents import record

# Longer than a body is held at a gate.
HOLD_S = 300


class Holding(pydantic.BaseModel):
    """`gate`: where each of the jobs waits; empty = it ends at once."""

    model_config = pydantic.ConfigDict(extra="forbid")

    jobs: list[int] = [0]
    gate: str = ""


@job(queue="model", timeout_s=HOLD_S)
def hold_a_thread(ctx: JobContext, *, number: int, gate: str = "") -> dict[str, Any]:
    return _hold(gate)


@job(queue="documents", timeout_s=HOLD_S)
def hold_a_child(ctx: JobContext, *, number: int, gate: str = "") -> dict[str, Any]:
    return _hold(gate)


@job(queue="model", timeout_s=HOLD_S)
def note_and_hold(ctx: JobContext, *, number: int, gate: str) -> dict[str, Any]:
    recorder.note("held", job=str(ctx.job_id), attempt=ctx.attempt)
    record.wait_at(gate)
    recorder.note("woke", job=str(ctx.job_id), attempt=ctx.attempt)
    return {"attempt": ctx.attempt}


@job(queue="model", retry=RetryPolicy(max_attempts=3, backoff_s=(3.0,)))
def fail_once(ctx: JobContext) -> dict[str, Any]:
    if ctx.attempt == 1:
        raise TransientError("the first attempt fails, and is due again in three seconds")
    return {"attempt": ctx.attempt}


@job(queue="documents", retry=RetryPolicy(max_attempts=3, backoff_s=(1.0,)))
def fail_once_in_a_child(ctx: JobContext) -> dict[str, Any]:
    return fail_once(ctx) or {}


@job(queue="model", retry=RetryPolicy(max_attempts=3, backoff_s=(3600.0,)))
def fail_for_long(ctx: JobContext) -> dict[str, Any]:
    if ctx.attempt == 1:
        raise TransientError("the first attempt fails, and is due again when a test says so")
    return {"attempt": ctx.attempt}


def _hold(gate: str) -> dict[str, Any]:
    if gate:
        record.wait_at(gate)
    return {}


for kind, job_type in (
    ("held_threads", "hold_a_thread"), ("held_children", "hold_a_child"), ("noted_threads", "note_and_hold")
):  # fmt: skip
    registry.add_flow(
        Flow(
            kind=kind,
            version=1,
            input=Holding,
            stages=(FanOut(job_type, over="input.jobs", each="number", bind={"gate": "input.gate"}),),
        )
    )

for kind, job_type in (
    ("fails_once", "fail_once"), ("fails_in_a_child", "fail_once_in_a_child"), ("fails_for_long", "fail_for_long")
):  # fmt: skip
    registry.add_flow(Flow(kind=kind, version=1, input=Holding, stages=(Step(job_type),)))
