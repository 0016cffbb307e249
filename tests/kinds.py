"""Small job types and workflow kinds that tests use beside the real ones. Registered on import."""

from __future__ import annotations

from typing import Any

import pydantic

from agentapp import registry
from agentapp.errors import PermanentError, TransientError
from agentapp.flows import Decision, FanOut, Flow, Join, Repeat, Step, When
from agentapp.policies.retry import RetryPolicy
from agentapp.runtime import JobContext, job


class Anything(pydantic.BaseModel):
    """The input of test kinds."""

    model_config = pydantic.ConfigDict(extra="forbid")

    parts: list[int] = [1, 2, 3]
    text: str = "hello"
    fail: str = ""


@job(queue="retrieval")
def probe_part(ctx: JobContext, *, n: int, fail: str = "") -> dict[str, Any]:
    _maybe_fail(fail)
    return {"n": n, "double": 2 * n}


@job(queue="model")
def probe_sum(ctx: JobContext, *, parts: list[dict[str, int]], fail: str = "") -> dict[str, Any]:
    _maybe_fail(fail)
    return {"sum": sum(part["double"] for part in parts)}


@job(queue="model")
def probe_judge(ctx: JobContext, *, seen: int | None = None) -> dict[str, Any]:
    """Asks for one more round until it has seen two."""
    rounds = (seen or 0) + 1
    return {"seen": rounds, "verdict": "revise" if rounds < 3 else "pass"}


@job(queue="model", retry=RetryPolicy(max_attempts=2))
def probe_first(ctx: JobContext, *, text: str, fail: str = "") -> dict[str, Any]:
    _maybe_fail(fail)
    return {"text": text.upper(), "priority": 1, "risk": "high"}


def _maybe_fail(fail: str) -> None:
    if fail == "transient":
        raise TransientError("the other side is busy", retry_after_s=None)
    if fail == "permanent":
        raise PermanentError("this can never work")


FAN = registry.add_flow(
    Flow(
        kind="probe_fan",
        version=1,
        input=Anything,
        stages=(
            Step("probe_first", bind={"text": "input.text", "fail": "input.fail"},
                 sets={"priority": "probe_first.priority", "risk": "probe_first.risk"}),
            FanOut("probe_part", over="input.parts", each="n"),
            Step("probe_sum", bind={"parts": "probe_part"}),
        ),
        result={"sum": "probe_sum.sum", "text": "probe_first.text"},
    )
)  # fmt: skip

LOOP = registry.add_flow(
    Flow(
        kind="probe_loop",
        version=1,
        input=Anything,
        stages=(
            Step("probe_judge", bind={"seen": "probe_judge.seen?"},
                 repeat=Repeat(back_to="probe_judge", when=When("probe_judge.verdict", equals="revise"), at_most=5)),
        ),
        result={"seen": "probe_judge.seen"},
    )
)  # fmt: skip

JOINS = {
    rule: registry.add_flow(
        Flow(
            kind=f"probe_{rule}",
            version=1,
            input=Anything,
            stages=(
                FanOut("probe_part", over="input.parts", each="n", bind={"fail": "input.fail?"},
                       join=Join(rule, n=2)),
                Step("probe_sum", bind={"parts": "probe_part"}),
            ),
            result={"sum": "probe_sum.sum"},
        )
    )
    for rule in ("all", "settled", "at_least")
}  # fmt: skip

ENOUGH = registry.add_flow(
    Flow(
        kind="probe_enough",
        version=1,
        input=Anything,
        stages=(FanOut("probe_part", over="input.parts", each="n", join=Join("at_least", n=2)),),
    )
)

DECIDED = registry.add_flow(
    Flow(
        kind="probe_decision",
        version=1,
        input=Anything,
        stages=(
            Step("probe_first", bind={"text": "input.text"}),
            Step("probe_ask", bind={"text": "probe_first.text"}),
            Decision(back_to="probe_first", bind={"content": "probe_ask.content",
                                                 "content_sha256": "probe_ask.content_sha256"}),
            Step("probe_tell", bind={"approval_id": "approval.approval_id"}),
        ),
        result={"outcome": "probe_tell.outcome"},
    )
)  # fmt: skip


@job(queue="model")
def probe_ask(ctx: JobContext, *, text: str) -> dict[str, Any]:
    from agentapp.policies.content import canonical_sha256

    content = {"to": "reader@sample.test", "subject": "probe", "body": text}
    return {"content": content, "content_sha256": canonical_sha256(content)}


@job(queue="send", scopes={"mail:send"})
def probe_tell(ctx: JobContext, *, approval_id: str) -> dict[str, Any]:
    approved = ctx.approved(approval_id)
    answer = ctx.effect(
        f"{ctx.workflow_id}:probe_tell", lambda effect_id: {"told": effect_id}, type="probe", request=approved.content
    )
    return {"outcome": "sent", **answer}


CLEANED: list[str] = []


def _clean_up(ctx: JobContext) -> None:
    if ctx.attempt == 2:
        raise TransientError("what should be cleaned up does not answer")
    if ctx.attempt == 3:
        raise KeyError("a bug in what cleans up")
    CLEANED.append(str(ctx.job_id))


@job(queue="model", on_cancel=_clean_up)
def probe_rented(ctx: JobContext, *, text: str) -> dict[str, Any]:
    """Counts to three with a checkpoint after each number; has something outside to clean up."""
    count = (ctx.saved or {"count": 0})["count"]
    while count < 3:
        count += 1
        ctx.checkpoint({"count": count})
    return {"count": count}


RENTED = registry.add_flow(
    Flow(
        kind="probe_rented",
        version=1,
        input=Anything,
        stages=(
            Step("probe_first", bind={"text": "input.text"}),
            Step("probe_rented", bind={"text": "probe_first.text"}),
        ),
        result={"text": "probe_first.text", "count": "probe_rented.count"},
    )
)


@job(queue="send")
def probe_same_effect(ctx: JobContext, *, key: str) -> dict[str, Any]:
    """Send under a key that other tasks may send under too."""
    return ctx.effect(key, lambda effect_id: {"effect": effect_id}, type="probe", request={"key": key})


registry.add_flow(
    Flow(
        kind="probe_same_effect",
        version=1,
        input=Anything,
        stages=(Step("probe_same_effect", bind={"key": "input.text"}),),
        result={"effect": "probe_same_effect.effect"},
    )
)
