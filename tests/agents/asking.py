"""A fan-out whose even parts ask a person."""

from __future__ import annotations

from typing import Any

import pydantic

from agentapp import registry
from agentapp.flows import FanOut, Flow
from agentapp.runtime import JobContext, job


class Asking(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")

    parts: list[int]


@job(queue="model")
def asking_part(ctx: JobContext, *, part: int) -> dict[str, Any]:
    if part % 2:
        return {"part": part, "asked": False}
    answer = ctx.ask("part", {"subject": f"Part {part}", "body": f"Go on with {part}?"}, summary=f"Part {part}?")
    return {"part": part, "asked": True, "sha256": answer.sha256}


registry.add_flow(
    Flow(
        kind="asking",
        version=1,
        input=Asking,
        stages=(FanOut("asking_part", over="input.parts", each="part"),),
        result={"parts": "asking_part"},
    )
)
