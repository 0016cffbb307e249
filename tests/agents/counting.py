"""A long body that saves where it is: the next attempt continues from there, and a cancel cleans up."""

from __future__ import annotations

import time
from typing import Any

import pydantic

from agentapp import registry
from agentapp.flows import Flow, Step
from agentapp.runtime import JobContext, job
from tests import recorder


class Count(pydantic.BaseModel):
    """Count up to `to`, `step_s` seconds for each."""

    model_config = pydantic.ConfigDict(extra="forbid")

    to: int
    step_s: float = 0.05


def _tidy_up(ctx: JobContext) -> None:
    recorder.note("tidied", job=str(ctx.job_id), reached=(ctx.saved or {"reached": 0})["reached"])


@job(queue="model", on_cancel=_tidy_up)
def count_in_a_thread(ctx: JobContext, *, to: int, step_s: float) -> dict[str, Any]:
    return _count(ctx, to, step_s)


@job(queue="documents", on_cancel=_tidy_up)
def count_in_a_child(ctx: JobContext, *, to: int, step_s: float) -> dict[str, Any]:
    return _count(ctx, to, step_s)


def _count(ctx: JobContext, to: int, step_s: float) -> dict[str, Any]:
    reached = (ctx.saved or {"reached": 0})["reached"]
    for number in range(reached + 1, to + 1):
        time.sleep(step_s)
        recorder.note("counted", job=str(ctx.job_id), number=number)
        ctx.checkpoint({"reached": number})
    return {"reached": to}


for job_type in ("count_in_a_thread", "count_in_a_child"):
    bind = {"to": "input.to", "step_s": "input.step_s"}
    registry.add_flow(Flow(kind=job_type, version=1, input=Count, stages=(Step(job_type, bind=bind),)))
