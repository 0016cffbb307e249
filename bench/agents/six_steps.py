"""Three parallel no-op retrievals, a draft, an evaluation, a send that is an effect.

chord([bench_retrieve x 3], bench_draft) | bench_evaluate | bench_send
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pydantic
import redis

from agentapp import registry
from agentapp.flows import FanOut, Flow, Step
from agentapp.runtime import JobContext, job

DONE = "bench:done"
_recorder = redis.Redis.from_url(os.environ.get("BENCH_RECORDER_URL", "redis://127.0.0.1:1/0"))


class Question(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")

    question: str
    sources: list[int] = [1, 2, 3]


@job(queue="retrieval")
def bench_retrieve(ctx: JobContext, *, source: int, question: str) -> dict[str, Any]:
    return {"passages": [source]}


@job(queue="model")
def bench_draft(ctx: JobContext, *, found: list[dict[str, Any]]) -> dict[str, Any]:
    return {"draft": len(found)}


@job(queue="model")
def bench_evaluate(ctx: JobContext, *, draft: int) -> dict[str, Any]:
    return {"score": draft / 3}


@job(queue="send", scopes={"mail:send"})
def bench_send(ctx: JobContext, *, score: float) -> dict[str, Any]:
    return ctx.effect(f"{ctx.workflow_id}:bench_send", lambda effect_id: record(str(ctx.workflow_id)),
                      type="bench", request={"score": score})  # fmt: skip


def record(workflow_id: str) -> dict[str, Any]:
    """The outside world: a list that counts every call."""
    return {"recorded": _recorder.rpush(DONE, workflow_id)}


if os.environ.get("BENCH_GATED"):
    # So that every job has all five keys: that of a model and that of a tool, too.
    for name in ("bench_retrieve", "bench_draft", "bench_evaluate", "bench_send"):
        registry.add_job_type(replace(registry.job_types[name], calls="chat", tool="bench"))

registry.add_flow(
    Flow(
        kind="bench_six",
        version=1,
        input=Question,
        stages=(
            FanOut("bench_retrieve", over="input.sources", each="source", bind={"question": "input.question"}),
            Step("bench_draft", bind={"found": "bench_retrieve"}),
            Step("bench_evaluate", bind={"draft": "bench_draft.draft"}),
            Step("bench_send", bind={"score": "bench_evaluate.score"}),
        ),
    )
)
