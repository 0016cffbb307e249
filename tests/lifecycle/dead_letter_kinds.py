"""A workflow kind that fails where and as often as a test says. Registered on import."""

from __future__ import annotations

from typing import Any

from agentapp import registry
from agentapp.errors import EffectUnknown, PermanentError
from agentapp.flows import Decision, FanOut, Flow, Join, Repeat, Step, When
from agentapp.policies.content import canonical_sha256
from agentapp.runtime import JobContext, job
from tests.kinds import Anything

# Job types that fail at present. A test repairs them by taking them out.
broken: set[str] = set()
# What arrived outside, in order.
sent: list[str] = []


def reset() -> None:
    """Nothing is broken, nothing was sent. Each test that uses these kinds begins with it: the files that ran before
    in the same process are others each time."""
    broken.clear()
    sent.clear()


def _work(name: str) -> None:
    if name in broken:
        raise PermanentError(f"{name} is broken: request req_{len(sent)}8fa2 was refused")


@job(queue="model")
def letter_read(ctx: JobContext, *, text: str) -> dict[str, Any]:
    _work("letter_read")
    return {"text": text, "parts": [1, 2, 3]}


@job(queue="retrieval")
def letter_part(ctx: JobContext, *, n: int) -> dict[str, Any]:
    _work(f"letter_part {n}")
    return {"double": 2 * n}


@job(queue="model")
def letter_write(
    ctx: JobContext, *, text: str, parts: list[dict[str, int]], critique: str | None = None
) -> dict[str, Any]:
    _work("letter_write")
    return {"draft": f"{text} {sum(part['double'] for part in parts)}" + (f", {critique}" if critique else "")}


@job(queue="model")
def letter_judge(ctx: JobContext, *, draft: str) -> dict[str, Any]:
    _work("letter_judge")
    rounds = draft.count("better") + 1
    return {"verdict": "revise" if "worse" in draft and rounds < 2 else "pass", "critique": "better"}


@job(queue="model")
def letter_ask(ctx: JobContext, *, draft: str) -> dict[str, Any]:
    _work("letter_ask")
    content = {"to": "reader@sample.test", "subject": "letter", "body": draft}
    return {"content": content, "content_sha256": canonical_sha256(content)}


@job(queue="send", scopes={"mail:send"})
def letter_send(ctx: JobContext, *, approval_id: str) -> dict[str, Any]:
    content = ctx.approved(approval_id).content

    def call(effect_id: str) -> dict[str, Any]:
        if "letter_send" in broken:
            raise EffectUnknown("The line broke while it was sent.")
        sent.append(content["body"])
        return {"receipt": effect_id}

    return ctx.effect(f"letter:{ctx.root_id}", call, type="letter", request=content)


LINE = registry.add_flow(
    Flow(
        kind="letter_line",
        version=1,
        input=Anything,
        stages=(
            Step("letter_read", bind={"text": "input.text"}),
            FanOut("letter_part", over="letter_read.parts", each="n"),
            Step("letter_write",
                 bind={"text": "letter_read.text", "parts": "letter_part", "critique": "letter_judge.critique?"}),
            Step("letter_judge", bind={"draft": "letter_write.draft"},
                 repeat=Repeat(back_to="letter_write", when=When("letter_judge.verdict", equals="revise"), at_most=2)),
            Step("letter_ask", bind={"draft": "letter_write.draft"}),
            Decision(back_to="letter_write",
                     bind={"content": "letter_ask.content", "content_sha256": "letter_ask.content_sha256"}),
            Step("letter_send", bind={"approval_id": "approval.approval_id"}),
        ),
        result={"draft": "letter_write.draft", "receipt": "letter_send.receipt?"},
    )
)  # fmt: skip

JOINS = {
    rule: registry.add_flow(
        Flow(
            kind=f"letter_{rule}",
            version=1,
            input=Anything,
            stages=(
                FanOut("letter_part", over="input.parts", each="n", join=Join(rule, n=2)),
                Step("letter_write", bind={"text": "input.text", "parts": "letter_part"}),
            ),
            result={"draft": "letter_write.draft"},
        )
    )
    for rule in ("settled", "at_least")
}
