"""A workflow kind for the admin's tests: a draft that can fail, a decision with sources and score, a sending."""

from __future__ import annotations

from typing import Any

import pydantic

from agentapp import registry
from agentapp.errors import PermanentError
from agentapp.flows import Decision, FanOut, Flow, Step
from agentapp.policies.content import canonical_sha256
from agentapp.policies.retry import RetryPolicy
from agentapp.runtime import JobContext, job

QUOTE = "Invoices are kept under Billing > Documents for ten years. Each can be downloaded as a PDF."


class Question(pydantic.BaseModel):
    """What a reader of the sample asks."""

    model_config = pydantic.ConfigDict(extra="forbid")

    subject: str = "Where are my invoices?"
    body: str = "I cannot find last month's invoice. Where do you keep them?"
    customer_email: str = "reader@sample.test"
    score: float = 0.91
    parts: list[int] = [1, 2, 3]


@job(queue="retrieval")
def sample_lookup(ctx: JobContext, *, n: int) -> dict[str, Any]:
    return {"n": n}


@job(queue="model", retry=RetryPolicy(max_attempts=2))
def sample_draft(
    ctx: JobContext, *, subject: str, body: str, to: str, score: float, remark: str | None = None
) -> dict[str, Any]:
    if "impossible" in body:
        raise PermanentError("The provider refused the request: 400, the prompt holds a word that it does not take.")
    answer = f"Hello,\n\nyou asked: {body}\n\nYour invoices are kept under Billing > Documents. [1]\n\nKind regards"
    if remark:
        answer = answer.replace("Kind regards", f"{remark}\n\nKind regards")
    content = {"to": to, "subject": f"Re: {subject}", "body": answer}
    return {
        "content": content,
        "content_sha256": canonical_sha256(content),
        "sources": [
            {"n": 1, "title": "Billing", "heading": "Invoices", "source": "documents", "text": QUOTE, "score": 0.032}
        ],
        "evaluation": {
            "score": score,
            "grounded": True,
            "complete": score > 0.7,
            "verdict": "pass" if score > 0.7 else "revise",
            "critique": "Every sentence is backed by the quoted passage.",
        },
    }


@job(queue="send", scopes={"mail:send"})
def sample_send(ctx: JobContext, *, approval_id: str) -> dict[str, Any]:
    approved = ctx.approved(approval_id)
    answer = ctx.effect(
        f"{ctx.workflow_id}:reply", lambda effect_id: {"effect": effect_id}, type="mail", request=approved.content
    )
    return {"outcome": "sent", "body": approved.content["body"], **answer}


SAMPLE = registry.add_flow(
    Flow(
        kind="sample_reply",
        version=1,
        input=Question,
        stages=(
            FanOut("sample_lookup", over="input.parts", each="n"),
            Step(
                "sample_draft",
                bind={
                    "subject": "input.subject",
                    "body": "input.body",
                    "to": "input.customer_email",
                    "score": "input.score",
                    "remark": "approval.remark?",
                },
            ),
            Decision(
                back_to="sample_draft",
                bind={name: f"sample_draft.{name}" for name in ("content", "content_sha256", "sources", "evaluation")},
            ),
            Step("sample_send", bind={"approval_id": "approval.approval_id"}),
        ),
        result={"outcome": "sample_send.outcome", "body": "sample_send.body"},
    )
)
