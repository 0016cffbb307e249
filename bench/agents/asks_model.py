"""Many model calls at once: one job a call.

group([bench_ask x n])
"""

from __future__ import annotations

from typing import Any

import pydantic

from agentapp import registry
from agentapp.flows import FanOut, Flow
from agentapp.runtime import JobContext, job


class Calls(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")

    calls: list[int]


@job(queue="model", scopes={"model:call"}, timeout_s=60)
def bench_ask(ctx: JobContext, *, number: int) -> dict[str, Any]:
    return {"answer": ctx.model.complete(f"Question {number}: what does it cost?").text}


registry.add_flow(
    Flow(kind="bench_ask", version=1, input=Calls, stages=(FanOut("bench_ask", over="input.calls", each="number"),))
)
