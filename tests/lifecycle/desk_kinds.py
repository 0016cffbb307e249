"""A workflow kind that fails where and as often as a test says. Registered on import."""

from __future__ import annotations

from typing import Any

from agentapp import registry
from agentapp.errors import EffectUnknown, PermanentError
from agentapp.flows import Decision, FanOut, Flow, Join, Repeat, Step
from agentapp.policies.content import canonical_sha256
from agentapp.runtime import JobContext, job
from tests.kinds import Anything

# Job types that fail at present. A test mends the world by taking them out.
broken: set[str] = set()
# What arrived outside, in order.
sent: list[str] = []


def _work(name: str) -> None:
    if name in broken:
        raise PermanentError(f"{name} is broken: request req_{len(sent)}8fa2 was refused")


@job(queue="model")
def desk_read(ctx: JobContext, *, text: str) -> dict[str, Any]:
    _work("desk_read")
    return {"text": text, "parts": [1, 2, 3]}


@job(queue="retrieval")
def desk_part(ctx: JobContext, *, n: int) -> dict[str, Any]:
    _work(f"desk_part {n}")
    return {"double": 2 * n}


@job(queue="model")
def desk_write(
    ctx: JobContext, *, text: str, parts: list[dict[str, int]], critique: str | None = None
) -> dict[str, Any]:
    _work("desk_write")
    return {"draft": f"{text} {sum(part['double'] for part in parts)}" + (f", {critique}" if critique else "")}


@job(queue="model")
def desk_judge(ctx: JobContext, *, draft: str) -> dict[str, Any]:
    _work("desk_judge")
    rounds = draft.count("better") + 1
    return {"verdict": "revise" if "worse" in draft and rounds < 2 else "pass", "critique": "better"}


@job(queue="model")
def desk_ask(ctx: JobContext, *, draft: str) -> dict[str, Any]:
    _work("desk_ask")
    content = {"to": "reader@sample.test", "subject": "desk", "body": draft}
    return {"content": content, "content_sha256": canonical_sha256(content)}


@job(queue="send", scopes={"mail:send"})
def desk_send(ctx: JobContext, *, approval_id: str) -> dict[str, Any]:
    content = ctx.approved(approval_id).content

    def call(effect_id: str) -> dict[str, Any]:
        if "desk_send" in broken:
            raise EffectUnknown("The line broke while it was sent.")
        sent.append(content["body"])
        return {"receipt": effect_id}

    return ctx.effect(f"desk:{ctx.root_id}", call, type="desk", request=content)


LINE = registry.add_flow(
    Flow(
        kind="desk_line",
        version=1,
        input=Anything,
        stages=(
            Step("desk_read", bind={"text": "input.text"}),
            FanOut("desk_part", over="desk_read.parts", each="n"),
            Step("desk_write",
                 bind={"text": "desk_read.text", "parts": "desk_part", "critique": "desk_judge.critique?"}),
            Step("desk_judge", bind={"draft": "desk_write.draft"},
                 repeat=Repeat(back_to="desk_write", field="verdict", equals="revise", at_most=2)),
            Step("desk_ask", bind={"draft": "desk_write.draft"}),
            Decision(back_to="desk_write",
                     bind={"content": "desk_ask.content", "content_sha256": "desk_ask.content_sha256"}),
            Step("desk_send", bind={"approval_id": "approval.approval_id"}),
        ),
        result={"draft": "desk_write.draft", "receipt": "desk_send.receipt?"},
    )
)  # fmt: skip

JOINS = {
    rule: registry.add_flow(
        Flow(
            kind=f"desk_{rule}",
            version=1,
            input=Anything,
            stages=(
                FanOut("desk_part", over="input.parts", each="n", join=Join(rule, n=2)),
                Step("desk_write", bind={"text": "input.text", "parts": "desk_part"}),
            ),
            result={"draft": "desk_write.draft"},
        )
    )
    for rule in ("settled", "at_least")
}
