"""A fan-out of as many parts as wanted, which do nothing, and a step behind its join.

chord([bench_part x n], bench_joined)
"""

from __future__ import annotations

from typing import Any

import pydantic

from agentapp import registry
from agentapp.flows import FanOut, Flow, Step
from agentapp.runtime import JobContext, job
from bench.agents.six_steps import record


class Width(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")

    parts: list[int]


@job(queue="retrieval")
def bench_part(ctx: JobContext, *, part: int) -> dict[str, Any]:
    return {"part": part}


@job(queue="model")
def bench_joined(ctx: JobContext) -> dict[str, Any]:
    return record(str(ctx.workflow_id))


registry.add_flow(
    Flow(
        kind="bench_wide",
        version=1,
        input=Width,
        stages=(FanOut("bench_part", over="input.parts", each="part"), Step("bench_joined")),
    )
)
