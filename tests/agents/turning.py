"""An agent that takes turns: each calls tools side by side, on the worker class that each call names."""

from __future__ import annotations

from typing import Any

import pydantic

from agentapp import registry
from agentapp.flows import Decision, FanOut, Flow, Repeat, Step, When
from agentapp.policies.content import canonical_sha256
from agentapp.runtime import JobContext, job
from tests.agents import record


class Turns(pydantic.BaseModel):
    """`asks_at`: the turn that needs an approval; `held_at`: the turn whose first call waits at the gate."""

    model_config = pydantic.ConfigDict(extra="forbid")

    turns: int
    asks_at: int = 0
    held_at: int = 0
    gate: str = ""


@job(queue="model")
def turning_turn(
    ctx: JobContext,
    *,
    turns: int,
    asks_at: int,
    held_at: int,
    gate: str,
    number: int = 0,
    results: list[Any] | None = None,
) -> dict[str, Any]:
    mine = number + 1
    calls = [
        {"tool": f"{queue} tool", "queue": queue, "gate": gate if (mine, queue) == (held_at, "model") else ""}
        for queue in ("model", "retrieval")
    ]
    content = {"to": "reader@sample.test", "subject": "turn", "body": f"turn {mine}"}
    return {
        "number": mine, "heard": len(results or ()), "calls": calls, "asks": mine == asks_at, "done": mine == turns,
        "content": content, "content_sha256": canonical_sha256(content),
    }  # fmt: skip


@job(queue="model")
def turning_call(ctx: JobContext, *, call: dict[str, str]) -> dict[str, Any]:
    if call["gate"]:
        record.wait_at(call["gate"])
    return {"tool": call["tool"], "attempt": ctx.attempt}


registry.add_flow(
    Flow(
        kind="turning",
        version=1,
        input=Turns,
        stages=(
            Step(
                "turning_turn",
                bind={name: f"input.{name}" for name in Turns.model_fields}
                | {"number": "turning_turn.number?", "results": "turning_call?"},
            ),
            Decision(
                bind={"content": "turning_turn.content", "content_sha256": "turning_turn.content_sha256"},
                when=When("turning_turn.asks"),
                on_reject="continue",
            ),
            FanOut(
                "turning_call",
                over="turning_turn.calls",
                each="call",
                tool="tool",
                queue="queue",
                repeat=Repeat("turning_turn", when=When("turning_turn.done", equals=False), at_most=50),
            ),
        ),
        result={"turns": "turning_turn.number", "heard": "turning_turn.heard"},
    )
)
