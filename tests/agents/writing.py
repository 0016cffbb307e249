"""Bodies that write artifacts all the time, until they are told to stop."""

from __future__ import annotations

import time
from typing import Any

import pydantic

from agentapp import registry
from agentapp.flows import FanOut, Flow
from agentapp.runtime import JobContext, job
from tests.agents import record


class Writers(pydantic.BaseModel):
    """`stop`: the record's word that ends them."""

    model_config = pydantic.ConfigDict(extra="forbid")

    writers: list[int]
    stop: str


@job(queue="model", timeout_s=120)
def keep_writing(ctx: JobContext, *, number: int, stop: str) -> dict[str, Any]:
    written = 0
    while not record.was_said(stop):
        ctx.artifacts.write(f"{number}: {written}")
        written += 1
        time.sleep(0.05)
    return {"written": written}


registry.add_flow(
    Flow(kind="writers", version=1, input=Writers,
         stages=(FanOut("keep_writing", over="input.writers", each="number", bind={"stop": "input.stop"}),))
)  # fmt: skip
