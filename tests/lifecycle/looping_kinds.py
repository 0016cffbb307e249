"""Plans that loop and branch. Registered on import."""

from __future__ import annotations

from typing import Any

import pydantic

from agentapp import registry
from agentapp.errors import PermanentError
from agentapp.flows import Decision, FanOut, Flow, Repeat, Step, When
from agentapp.policies.content import canonical_sha256
from agentapp.runtime import JobContext, job

# Parts that fail at present, by their number.
broken: set[int] = set()


class Script(pydantic.BaseModel):
    """What each turn says: {"asks": whether a person must decide, "calls": numbers}. The last turn is done."""

    model_config = pydantic.ConfigDict(extra="forbid")

    turns: list[dict[str, Any]] = []


@job(queue="model")
def loop_turn(
    ctx: JobContext,
    *,
    turns: list[dict[str, Any]],
    number: int | None = None,
    results: list[dict[str, Any]] | None = None,
    decision: str | None = None,
    remark: str | None = None,
) -> dict[str, Any]:
    """One turn of an agent: it reads what came of the turn before, and asks for calls."""
    mine = (number or 0) + 1
    turn = turns[mine - 1]
    content = {"to": "reader@sample.test", "subject": "probe", "body": f"turn {mine}"}
    return {
        "number": mine, "asks": turn.get("asks", False), "done": mine == len(turns),
        "calls": [call_of(n) for n in turn.get("calls", [])],
        "content": content, "content_sha256": canonical_sha256(content),
        "heard": {"results": results, "decision": decision, "remark": remark},
    }  # fmt: skip


def call_of(n: int) -> dict[str, Any]:
    """A call of one of three tools; a tool runs on one of two worker classes."""
    return {"n": n, "tool": f"tool-{n % 3}", "queue": "model" if n % 3 == 0 else "retrieval"}


@job(queue="retrieval")
def loop_tool(ctx: JobContext, *, call: Any) -> dict[str, Any]:
    n = call["n"] if isinstance(call, dict) else call
    if n in broken:
        raise PermanentError(f"call {n} is broken")
    return {"call": n, "double": 2 * n}


@job(queue="model")
def loop_say(ctx: JobContext, *, number: int = 0, read: Any = "default") -> dict[str, Any]:
    return {"number": number, "read": read}


TURN = Step(
    "loop_turn",
    bind={
        "turns": "input.turns", "number": "loop_turn.number?", "results": "loop_tool?",
        "decision": "approval.decision?", "remark": "approval.remark?",
    },
)  # fmt: skip
ASKED = {"content": "loop_turn.content", "content_sha256": "loop_turn.content_sha256"}
# A turn, a person where the turn asks for one, its calls side by side, and the next turn until one is done.
AGENT = registry.add_flow(
    Flow(
        kind="loop_agent",
        version=1,
        input=Script,
        stages=(
            TURN,
            Decision(
                bind=ASKED,
                when=When("loop_turn.asks"),
                on_reject="continue",
                repeat=Repeat("loop_turn", when=When("approval.decision", equals="rejected"), at_most=50),
            ),
            FanOut(
                "loop_tool",
                over="loop_turn.calls",
                each="call",
                tool="tool",
                queue="queue",
                repeat=Repeat("loop_turn", when=When("loop_turn.done", equals=False), at_most=150),
            ),
        ),
        result={"turns": "loop_turn.number", "heard": "loop_turn.heard", "last": "loop_tool"},
    )
)


class Words(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")

    first: Any = None
    parts: Any = []


# Every kind of stage can be skipped, and what reads it has a default.
BRANCH = registry.add_flow(
    Flow(
        kind="loop_branch",
        version=1,
        input=Words,
        stages=(
            Step("loop_say", name="left", bind={"number": 1}, when=When("input.first", equals="left")),
            FanOut("loop_tool", over="input.parts", each="call", when=When("input.first", equals="left")),
            Decision(bind={"content": "left", "content_sha256": "input.first"}, when=When("left.number", equals=5)),
            Step("loop_say", name="right", bind={"number": 2, "read": "left.number"},
                 when=When("left.number", equals=None)),
            Step("loop_say", name="last", bind={"read": "loop_tool"}),
        ),
        result={"left": "left.number", "right": "right.number", "read": "right.read", "last": "last.read",
                "decision": "approval.decision"},
    )
)  # fmt: skip
# Nothing of it is done unless the input says so.
NOTHING = registry.add_flow(
    Flow(
        kind="loop_nothing",
        version=1,
        input=Words,
        stages=(
            Step("loop_say", when=When("input.first")),
            FanOut("loop_tool", over="input.parts", each="call", when=When("input.first")),
        ),
        result={"said": "loop_say.number"},
    )
)


@job(queue="model")
def loop_count(ctx: JobContext, *, count: int | None = None) -> dict[str, Any]:
    return {"count": (count or 0) + 1, "again": True}


# An inner loop of three rounds within an outer one of two.
NESTED = registry.add_flow(
    Flow(
        kind="loop_nested",
        version=1,
        input=Words,
        stages=(
            Step("loop_count", name="outer", bind={"count": "outer.count?"}),
            Step("loop_count", name="inner", bind={"count": "inner.count?"},
                 repeat=Repeat("inner", when=When("inner.again"), at_most=2)),
            Step("loop_count", name="end", bind={"count": "end.count?"},
                 repeat=Repeat("outer", when=When("end.again"), at_most=1)),
        ),
        result={"outer": "outer.count", "inner": "inner.count", "end": "end.count"},
    )
)  # fmt: skip
# Parts whose elements name their tool and their queue.
TOOLS = registry.add_flow(
    Flow(
        kind="loop_tools",
        version=1,
        input=Words,
        stages=(
            FanOut("loop_tool", over="input.first", each="call", tool="tool", queue="queue"),
            FanOut("loop_tool", over="input.parts", each="call", tool="tool", queue="queue", name="second"),
        ),
        result={"calls": "loop_tool", "second": "second"},
    )
)
LINE = registry.add_flow(
    Flow(
        kind="loop_line",
        version=1,
        input=Words,
        stages=(
            Step("loop_count", name="a"),
            Step("loop_count", name="b"),
            Step("loop_count", name="c", when=When("a.again", equals=False)),
            Step("loop_count", name="d"),
        ),
        result={"d": "d.count"},
    )
)
