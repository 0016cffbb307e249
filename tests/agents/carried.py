"""Tasks that one worker class carries out, without a model: many short parts, each with a call to the world outside."""

from __future__ import annotations

from typing import Any

import pydantic

from agentapp import registry
from agentapp.flows import FanOut, Flow, Step
from agentapp.policies.retry import RetryPolicy
from agentapp.runtime import JobContext, job
from tests import recorder

RETRY = RetryPolicy(max_attempts=20, backoff_s=(0.2,))


class Carried(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")

    parts: list[int]


@job(queue="documents", timeout_s=10, retry=RETRY)
def carry_part(ctx: JobContext, *, part: int) -> dict[str, Any]:
    recorder.note("ran", job=str(ctx.job_id), attempt=ctx.attempt)
    key = f"book:{ctx.workflow_id}:{part}"

    def call(effect_id: str) -> dict[str, Any]:
        return recorder.note("effect", effect=effect_id, key=key, workflow=str(ctx.workflow_id))

    ctx.effect(key, call, type="book", request={"part": part}, ask=recorder.first_call, late_s=1)
    return {"part": part}


@job(queue="documents", timeout_s=10, retry=RETRY)
def carry_end(ctx: JobContext, *, parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {"parts": [each["part"] for each in parts]}


registry.add_flow(
    Flow(
        kind="carried",
        version=1,
        input=Carried,
        stages=(FanOut("carry_part", over="input.parts", each="part"), Step("carry_end", bind={"parts": "carry_part"})),
    )
)
