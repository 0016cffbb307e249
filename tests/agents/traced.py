"""Seven jobs on three worker classes that record each run.

traced_begin | chord([traced_part x 3], traced_join) | traced_check | traced_end
"""

from __future__ import annotations

from typing import Any

import pydantic

from agentapp import registry
from agentapp.flows import FanOut, Flow, Step
from agentapp.runtime import JobContext, job
from tests.agents import record


class Text(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")

    text: str = "a text that belongs into no message"
    parts: list[int] = [1, 2, 3]


@job(queue="model")
def traced_begin(ctx: JobContext, *, text: str) -> dict[str, Any]:
    record.ran("traced_begin", ctx.job_id)
    return {"word": text.upper()}


@job(queue="retrieval")
def traced_part(ctx: JobContext, *, n: int, word: str) -> dict[str, Any]:
    record.ran("traced_part", ctx.job_id)
    return {"square": n * n}


@job(queue="model")
def traced_join(ctx: JobContext, *, parts: list[dict[str, int]]) -> dict[str, Any]:
    record.ran("traced_join", ctx.job_id)
    return {"sum": sum(part["square"] for part in parts)}


@job(queue="model")
def traced_check(ctx: JobContext, *, sum: int) -> dict[str, Any]:
    record.ran("traced_check", ctx.job_id)
    return {"even": sum % 2 == 0}


@job(queue="send", scopes={"mail:send"})
def traced_end(ctx: JobContext, *, sum: int, even: bool) -> dict[str, Any]:
    def send(effect_id: str) -> dict[str, Any]:
        record.ran("sent", effect_id)
        return {"sent": effect_id}

    record.ran("traced_end", ctx.job_id)
    return ctx.effect(f"{ctx.workflow_id}:traced_end", send, type="trace", request={"sum": sum, "even": even})


registry.add_flow(
    Flow(
        kind="traced",
        version=1,
        input=Text,
        stages=(
            Step("traced_begin", bind={"text": "input.text"}),
            FanOut("traced_part", over="input.parts", each="n", bind={"word": "traced_begin.word"}),
            Step("traced_join", bind={"parts": "traced_part"}),
            Step("traced_check", bind={"sum": "traced_join.sum"}),
            Step("traced_end", bind={"sum": "traced_join.sum", "even": "traced_check.even"}),
        ),
        result={"word": "traced_begin.word", "sum": "traced_join.sum", "even": "traced_check.even"},
    )
)
