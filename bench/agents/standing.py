"""A job that fails once, and one that stays until its worker is killed, for bench/standstill.py."""

from __future__ import annotations

import time
from typing import Any

import pydantic

from agentapp import registry
from agentapp.errors import TransientError
from agentapp.flows import Flow, Step
from agentapp.policies.retry import RetryPolicy
from agentapp.runtime import JobContext, job

STAYS_S = 300


class Nothing(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")


@job(queue="model", retry=RetryPolicy(max_attempts=3, backoff_s=(3.0,)))
def bench_fail(ctx: JobContext) -> dict[str, Any]:
    if ctx.attempt == 1:
        raise TransientError("the first attempt fails")
    return {}


@job(queue="retrieval", timeout_s=STAYS_S + 60)
def bench_stay(ctx: JobContext) -> dict[str, Any]:
    if ctx.attempt == 1:
        time.sleep(STAYS_S)
    return {}


registry.add_flow(Flow(kind="bench_fail", version=1, input=Nothing, stages=(Step("bench_fail"),)))
registry.add_flow(Flow(kind="bench_stay", version=1, input=Nothing, stages=(Step("bench_stay"),)))
