"""A job type that returns what a test says, and plans that cannot always go on with it. `registered` for a test only,
because some of them are wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pydantic

from agentapp import registry
from agentapp.flows import Decision, FanOut, Flow, Join, Repeat, Stage, Step, When
from agentapp.runtime import JobContext, job


class Said(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")

    output: dict[str, Any] = {}


@job(queue="model")
def crooked_say(ctx: JobContext, *, output: dict[str, Any]) -> dict[str, Any]:
    return output


@job(queue="model")
def crooked_part(ctx: JobContext, *, n: Any) -> dict[str, Any]:
    return {"n": n}


@job(queue="model")
def crooked_count(ctx: JobContext, *, parts: list[Any], long: str | None = None) -> dict[str, Any]:
    return {"count": len(parts)}


FLOWS: list[Flow] = []


@contextmanager
def registered() -> Iterator[None]:
    for flow in FLOWS:
        registry.add_flow(flow)
    yield
    for flow in FLOWS:
        del registry.flows[flow.kind, flow.version]


def _kind(name: str, *stages: Stage) -> None:
    result = {"count": "crooked_count.count?"}
    FLOWS.append(Flow(kind=f"crooked_{name}", version=1, input=Said, stages=stages, result=result))


SAY: dict[str, Any] = {"output": "input.output"}
COUNT = Step("crooked_count", bind={"parts": "crooked_part"})
FAN = FanOut("crooked_part", over="crooked_say.parts", each="n")

_kind("fan", Step("crooked_say", bind=SAY), FAN, COUNT)
_kind("first", FanOut("crooked_part", over="input.output.parts", each="n"), COUNT)
_kind("settled", Step("crooked_say", bind=SAY),
      FanOut("crooked_part", over="crooked_say.parts", each="n", join=Join("settled")), COUNT)  # fmt: skip
_kind("sets", Step("crooked_say", bind=SAY, sets={"priority": "crooked_say.priority", "risk": "crooked_say.risk"}))
_kind(
    "repeat", Step("crooked_say", bind=SAY, repeat=Repeat(back_to="nowhere", when=When("crooked_say.again"), at_most=2))
)
_kind("ask", Step("crooked_say", bind=SAY),
      Decision(back_to="nowhere", bind={"content": "crooked_say.content", "content_sha256": "crooked_say.sha256",
                                        "risk": "crooked_say.risk?", "expires_in_s": "crooked_say.expires_in_s?"}),
      FanOut("crooked_part", over="crooked_say.parts", each="n"))  # fmt: skip
_kind("long", Step("crooked_say", bind=SAY), Step("crooked_count", bind={"parts": [], "long": "crooked_say.long"}))
_kind("settled_then_fan",
      FanOut("crooked_part", over="input.output.first", each="n", join=Join("settled")),
      FanOut("crooked_say", over="input.output.second", each="output"))  # fmt: skip
