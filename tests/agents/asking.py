"""A fan-out whose even parts ask a person, and a plan that asks one itself."""

from __future__ import annotations

from typing import Any

import pydantic

from agentapp import registry
from agentapp.flows import Decision, FanOut, Flow, Step
from agentapp.policies.content import canonical_sha256
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


class Deciding(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")

    number: int


@job(queue="model")
def deciding_ask(ctx: JobContext, *, number: int) -> dict[str, Any]:
    # No mail: that one is held for a while after it was approved.
    content = {"subject": f"Number {number}", "body": f"Go on with {number}?"}
    return {"content": content, "content_sha256": canonical_sha256(content)}


@job(queue="model")
def deciding_go_on(ctx: JobContext, *, approval_id: str) -> dict[str, Any]:
    return {"sha256": ctx.approved(approval_id).sha256}


registry.add_flow(
    Flow(
        kind="asking",
        version=1,
        input=Asking,
        stages=(FanOut("asking_part", over="input.parts", each="part"),),
        result={"parts": "asking_part"},
    )
)
registry.add_flow(
    Flow(
        kind="deciding",
        version=1,
        input=Deciding,
        stages=(
            Step("deciding_ask", bind={"number": "input.number"}),
            Decision(bind={"content": "deciding_ask.content", "content_sha256": "deciding_ask.content_sha256"}),
            Step("deciding_go_on", bind={"approval_id": "approval.approval_id"}),
        ),
        result={"sha256": "deciding_go_on.sha256"},
    )
)
