"""A wide fan-out, some of whose parts fail until a person fixes their payload.

chord([wide_part x n], wide_end)
"""

from __future__ import annotations

import time
from typing import Any

import pydantic

from agentapp import registry
from agentapp.errors import PermanentError
from agentapp.flows import FanOut, Flow, Step
from agentapp.runtime import JobContext, job


class Part(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")

    number: int
    is_broken: bool = False


class Wide(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")

    parts: list[Part]
    part_s: float = 0.02


@job(queue="model")
def wide_part(ctx: JobContext, *, part: Part, part_s: float) -> dict[str, Any]:
    time.sleep(part_s)
    if part.is_broken:
        raise PermanentError(f"part {part.number} is broken")
    return {"number": part.number}


@job(queue="model")
def wide_end(ctx: JobContext, *, parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {"sum": sum(part["number"] for part in parts)}


registry.add_flow(
    Flow(
        kind="wide",
        version=1,
        input=Wide,
        stages=(
            FanOut("wide_part", over="input.parts", each="part", bind={"part_s": "input.part_s"}),
            Step("wide_end", bind={"parts": "wide_part"}),
        ),
        result={"sum": "wide_end.sum"},
    )
)
