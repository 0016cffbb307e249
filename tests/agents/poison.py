"""Bodies that a worker does not survive: they kill it, eat its memory, or never come back. One job each."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import pydantic

from agentapp import registry
from agentapp.flows import Flow, Step
from agentapp.policies.retry import RetryPolicy
from agentapp.runtime import JobContext, job

RETRY = RetryPolicy(max_attempts=3, backoff_s=(0.2,))
# Longer than a busy machine takes to begin a body.
HANG_TIMEOUT_S = 2
_BITE_BYTES = 16_000_000


class Nothing(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")


@job(queue="documents", retry=RETRY)
def kill_a_child(ctx: JobContext) -> dict[str, Any]:
    return _kill()


@job(queue="send", retry=RETRY)
def kill_a_worker(ctx: JobContext) -> dict[str, Any]:
    return _kill()


@job(queue="documents", retry=RETRY)
def eat_memory(ctx: JobContext) -> dict[str, Any]:
    eaten = []
    while True:
        eaten.append(bytes(_BITE_BYTES))


@job(queue="send", retry=RETRY, timeout_s=HANG_TIMEOUT_S)
def hang_in_a_thread(ctx: JobContext) -> dict[str, Any]:
    return _hang()


@job(queue="documents", retry=RETRY, timeout_s=HANG_TIMEOUT_S)
def hang_in_a_child(ctx: JobContext) -> dict[str, Any]:
    return _hang()


def _kill() -> dict[str, Any]:
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def _hang() -> dict[str, Any]:
    threading.Event().wait()
    return {}


for poison in (kill_a_child, kill_a_worker, eat_memory, hang_in_a_thread, hang_in_a_child):
    registry.add_flow(Flow(kind=poison.__name__, version=1, input=Nothing, stages=(Step(poison.__name__),)))
