"""Six steps that take a while and are recorded, for bench/recovery.py.

chord([recover_retrieve x 3], recover_draft) | recover_evaluate | recover_send
"""

from __future__ import annotations

from typing import Any

import pydantic

from agentapp import registry
from agentapp.flows import FanOut, Flow, Step
from agentapp.runtime import JobContext, job
from bench import bodies


class Pause(pydantic.BaseModel):
    """How long each body takes, in seconds."""

    model_config = pydantic.ConfigDict(extra="forbid")

    pause_s: float
    sources: list[int] = [1, 2, 3]


@job(queue="retrieval")
def recover_retrieve(ctx: JobContext, *, source: int, pause_s: float) -> dict[str, Any]:
    bodies.work(str(ctx.workflow_id), f"retrieve {source}", pause_s=pause_s)
    return {"passages": [source]}


@job(queue="model")
def recover_draft(ctx: JobContext, *, found: list[dict[str, Any]], pause_s: float) -> dict[str, Any]:
    bodies.work(str(ctx.workflow_id), "draft", pause_s=pause_s)
    return {"draft": len(found)}


@job(queue="model")
def recover_evaluate(ctx: JobContext, *, draft: int, pause_s: float) -> dict[str, Any]:
    bodies.work(str(ctx.workflow_id), "evaluate", pause_s=pause_s)
    return {"score": draft / 3}


@job(queue="send", scopes={"mail:send"})
def recover_send(ctx: JobContext, *, score: float, pause_s: float) -> dict[str, Any]:
    workflow_id = str(ctx.workflow_id)
    bodies.work(workflow_id, "send", pause_s=pause_s)
    return ctx.effect(f"{workflow_id}:recover_send", lambda effect_id: bodies.send(workflow_id), type="bench",
                      request={"score": score}, ask=lambda effect_id: bodies.was_sent(workflow_id))  # fmt: skip


PAUSE = {"pause_s": "input.pause_s"}

registry.add_flow(
    Flow(
        kind="bench_recover",
        version=1,
        input=Pause,
        stages=(
            FanOut("recover_retrieve", over="input.sources", each="source", bind=PAUSE),
            Step("recover_draft", bind={"found": "recover_retrieve", **PAUSE}),
            Step("recover_evaluate", bind={"draft": "recover_draft.draft", **PAUSE}),
            Step("recover_send", bind={"score": "recover_evaluate.score", **PAUSE}),
        ),
    )
)
