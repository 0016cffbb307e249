"""Jobs that gates are made for: they take as long as they are told, with a model, a tool, both, or neither."""

from __future__ import annotations

import time
from typing import Any

import pydantic

from agentapp import registry
from agentapp.flows import FanOut, Flow, Step
from agentapp.policies.retry import RetryPolicy
from agentapp.runtime import JobContext, job
from tests.agents import record

# A worker that is killed under them is not theirs to wait for.
RETRY = RetryPolicy(max_attempts=20, backoff_s=(0.2,))
# A body that waits for a word.
HOLD_S, LOOK_S = 300, 0.05
BIND = {"seconds": "input.seconds", "word": "input.word"}


class Pause(pydantic.BaseModel):
    """`seconds` that each body takes, and until a test has said `word`, where there is one; `parts` of a fan-out."""

    model_config = pydantic.ConfigDict(extra="forbid")

    seconds: float = 0.1
    word: str = ""
    parts: int = 1


@job(queue="model", retry=RETRY, timeout_s=HOLD_S)
def pause_plain(ctx: JobContext, *, seconds: float, word: str = "") -> dict[str, Any]:
    return _pause(seconds, word)


@job(queue="model", scopes={"model:call"}, retry=RETRY, timeout_s=HOLD_S)
def pause_with_model(ctx: JobContext, *, seconds: float, word: str = "") -> dict[str, Any]:
    return _pause(seconds, word)


@job(queue="model", scopes={"model:call"}, tool="probe", retry=RETRY, timeout_s=HOLD_S)
def pause_with_tool(ctx: JobContext, *, seconds: float, word: str = "") -> dict[str, Any]:
    return _pause(seconds, word)


@job(queue="model")
def count_parts(ctx: JobContext, *, parts: int) -> dict[str, Any]:
    return {"parts": list(range(parts))}


@job(queue="model", scopes={"model:call"}, timeout_s=HOLD_S)
def pause_part(ctx: JobContext, *, number: int, seconds: float, word: str = "") -> dict[str, Any]:
    return _pause(seconds, word)


@job(queue="retrieval")
def fetch_part(ctx: JobContext, *, number: int, seconds: float, word: str = "") -> dict[str, Any]:
    return _pause(seconds, word)


@job(queue="model", scopes={"model:call"}, retry=RetryPolicy(max_attempts=3, backoff_s=(1.0,)))
def ask_once(ctx: JobContext) -> dict[str, Any]:
    return {"text": ctx.model.complete("Say hello.", max_tokens=8).text}


def _pause(seconds: float, word: str) -> dict[str, Any]:
    time.sleep(seconds)
    while word and not record.was_said(word):
        time.sleep(LOOK_S)
    return {}


for name in ("pause_plain", "pause_with_model", "pause_with_tool"):
    registry.add_flow(Flow(kind=name, version=1, input=Pause, stages=(Step(name, bind=BIND),)))
for kind, part in (("pause_parts", "pause_part"), ("fetch_parts", "fetch_part")):
    registry.add_flow(
        Flow(
            kind=kind,
            version=1,
            input=Pause,
            stages=(
                Step("count_parts", bind={"parts": "input.parts"}),
                FanOut(part, over="count_parts.parts", each="number", bind=BIND),
            ),
        )
    )
registry.add_flow(Flow(kind="ask_once", version=1, input=Pause, stages=(Step("ask_once"),)))
