"""Three parallel retrievals, a draft and a send that take as long as the input says, for bench/capacity.py.

chord([queue_retrieve x 3], queue_draft) | queue_send
"""

from __future__ import annotations

import time
from typing import Any

import pydantic

from agentapp import registry
from agentapp.flows import FanOut, Flow, Step
from agentapp.runtime import JobContext, job
from bench.agents.six_steps import record


class Durations(pydantic.BaseModel):
    """How long each body takes, in seconds."""

    model_config = pydantic.ConfigDict(extra="forbid")

    retrieve_s: list[float]
    draft_s: float
    send_s: float


@job(queue="retrieval")
def queue_retrieve(ctx: JobContext, *, seconds: float) -> dict[str, Any]:
    time.sleep(seconds)
    return {}


@job(queue="model")
def queue_draft(ctx: JobContext, *, seconds: float) -> dict[str, Any]:
    time.sleep(seconds)
    return {}


@job(queue="send")
def queue_send(ctx: JobContext, *, seconds: float) -> dict[str, Any]:
    time.sleep(seconds)
    return record(str(ctx.workflow_id))


registry.add_flow(
    Flow(
        kind="bench_queue",
        version=1,
        input=Durations,
        stages=(
            FanOut("queue_retrieve", over="input.retrieve_s", each="seconds"),
            Step("queue_draft", bind={"seconds": "input.draft_s"}),
            Step("queue_send", bind={"seconds": "input.send_s"}),
        ),
    )
)
