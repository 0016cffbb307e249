"""A plan that changes on the way: the first judgement asks for another draft.

traced_draft | traced_judge | traced_draft | traced_judge | traced_post
"""

from __future__ import annotations

from typing import Any

from agentapp import registry
from agentapp.flows import Flow, Repeat, Step, When
from agentapp.runtime import JobContext, job
from tests.agents import record
from tests.agents.traced import Text


@job(queue="model")
def traced_draft(ctx: JobContext, *, last: int | None = None) -> dict[str, Any]:
    record.ran("traced_draft", ctx.job_id)
    return {"number": (last or 0) + 1}


@job(queue="model")
def traced_judge(ctx: JobContext, *, number: int) -> dict[str, Any]:
    record.ran("traced_judge", ctx.job_id)
    return {"verdict": "again" if number == 1 else "good"}


@job(queue="model")
def traced_post(ctx: JobContext, *, number: int) -> dict[str, Any]:
    record.ran("traced_post", ctx.job_id)
    return {"posted": number}


registry.add_flow(
    Flow(
        kind="traced_again",
        version=1,
        input=Text,
        stages=(
            Step("traced_draft", bind={"last": "traced_draft.number?"}),
            Step(
                "traced_judge",
                bind={"number": "traced_draft.number"},
                repeat=Repeat(back_to="traced_draft", when=When("traced_judge.verdict", equals="again"), at_most=2),
            ),
            Step("traced_post", bind={"number": "traced_draft.number"}),
        ),
        result={"posted": "traced_post.posted"},
    )
)
