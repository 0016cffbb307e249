"""Six steps over four worker classes, in threads and in child processes, with two effects.

chaos_read | chord([chaos_parse x n], chaos_merge) | chaos_book | chaos_check | chaos_post

The provider of chaos_book can be asked whether a call has arrived; that of chaos_post cannot.
"""

from __future__ import annotations

import random
import time
from typing import Any

import pydantic

from agentapp import registry
from agentapp.flows import FanOut, Flow, Step
from agentapp.policies.retry import RetryPolicy
from agentapp.runtime import JobContext, job
from tests import recorder

# A job that lost its worker twice in a row waits; a test need not wait as long as a provider would want.
RETRY = RetryPolicy(max_attempts=5, backoff_s=(0.5, 1.0, 2.0))


class Chaos(pydantic.BaseModel):
    """`seed` says how long each body takes, `parts` how wide the fan-out is."""

    model_config = pydantic.ConfigDict(extra="forbid")

    seed: int
    parts: list[int] = [0]


@job(queue="model", retry=RETRY)
def chaos_read(ctx: JobContext, *, seed: int) -> dict[str, Any]:
    return _work(ctx, "chaos_read", seed)


@job(queue="documents", retry=RETRY)
def chaos_parse(ctx: JobContext, *, seed: int, part: int) -> dict[str, Any]:
    return _work(ctx, "chaos_parse", seed * 1000 + part) | {"part": part}


@job(queue="retrieval", retry=RETRY)
def chaos_merge(ctx: JobContext, *, seed: int, found: list[dict[str, Any]]) -> dict[str, Any]:
    return _work(ctx, "chaos_merge", seed) | {"parts": [item["part"] for item in found]}


# A call whose process was killed is waited for while it could hang: a test cannot wait for a minute.
@job(queue="documents", timeout_s=10, retry=RETRY)
def chaos_book(ctx: JobContext, *, seed: int, parts: list[int]) -> dict[str, Any]:
    _work(ctx, "chaos_book", seed)
    return _effect(ctx, "book", {"parts": parts}, can_be_asked=True)


@job(queue="model", retry=RETRY)
def chaos_check(ctx: JobContext, *, seed: int) -> dict[str, Any]:
    return _work(ctx, "chaos_check", seed)


@job(queue="send", timeout_s=10, retry=RETRY, scopes={"mail:send"})
def chaos_post(ctx: JobContext, *, seed: int, line: int) -> dict[str, Any]:
    _work(ctx, "chaos_post", seed)
    return _effect(ctx, "post", {"line": line}, can_be_asked=False)


def _work(ctx: JobContext, type: str, seed: int) -> dict[str, Any]:
    recorder.note("ran", type=type, job=str(ctx.job_id), attempt=ctx.attempt)
    time.sleep(random.Random(f"{seed} {type}").uniform(0.003, 0.1))
    return {"seed": seed}


def _effect(ctx: JobContext, type: str, request: dict[str, Any], *, can_be_asked: bool) -> dict[str, Any]:
    key = f"{type}:{ctx.workflow_id}"

    def call(effect_id: str) -> dict[str, Any]:
        return recorder.note("effect", effect=effect_id, key=key, workflow=str(ctx.workflow_id))

    ask = recorder.first_call if can_be_asked else None
    return ctx.effect(key, call, type=type, request=request, ask=ask, late_s=1)


registry.add_flow(
    Flow(
        kind="chaos",
        version=1,
        input=Chaos,
        stages=(
            Step("chaos_read", bind={"seed": "input.seed"}),
            FanOut("chaos_parse", over="input.parts", each="part", bind={"seed": "chaos_read.seed"}),
            Step("chaos_merge", bind={"seed": "input.seed", "found": "chaos_parse"}),
            Step("chaos_book", bind={"seed": "chaos_merge.seed", "parts": "chaos_merge.parts"}),
            Step("chaos_check", bind={"seed": "input.seed"}),
            Step("chaos_post", bind={"seed": "chaos_check.seed", "line": "chaos_book.line"}),
        ),
        result={"parts": "chaos_merge.parts", "booked": "chaos_book.line", "posted": "chaos_post.line"},
    )
)
