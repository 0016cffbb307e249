"""Answer a customer's question: nothing is sent before a person has approved it. [C4]

    classify_ticket
        |
    retrieve_context    one job for each source that classify_ticket names   <---+
        |                                                                        |
    generate_draft  <------------------------+-----------------------+           |
        |                                    |                       |           |
    evaluate_answer -- below the required score, twice at most       |           |
        |                                                            |           |
    request_approval                                                 |           |
        |                                                            |           |
    approval        -- a person requests changes --------------------+           |
        |           -- sources have changed (refresh_stale_drafts) --------------+
        |
    send_approved_message

As a canvas: chain(classify_ticket, chord([retrieve_context, ...], generate_draft), evaluate_answer, request_approval),
published up to the next decision; what follows the approval is published when it is there. A rejected approval ends
the task with the outcome "rejected".
"""

from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from agentapp import registry
from agentapp.flows import Decision, FanOut, Flow, Repeat, Step, When
from agentapp.policies import mail_header

REVISIONS = 2


def _without(problem_of: Callable[[object], str]) -> AfterValidator:
    def check(value: str) -> str:
        if problem := problem_of(value):
            raise ValueError(problem)
        return value

    return AfterValidator(check)


class SupportReplyInput(BaseModel):
    """What a client sends: the customer's question, and where the reply goes."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    subject: Annotated[str, Field(min_length=1, max_length=300), _without(mail_header.subject_problem)]
    body: Annotated[str, Field(min_length=1, max_length=20_000)]
    customer_email: Annotated[str, _without(mail_header.address_problem)]
    collection: Annotated[
        str | None, Field(max_length=100, description="which documents may be quoted; else those of `default`")
    ] = None


QUESTION = {"subject": "input.subject", "body": "input.body"}

support_reply = registry.add_flow(
    Flow(
        kind="support_reply",
        version=1,
        title="Answer a customer's question",
        description="Drafts a reply from the knowledge base, asks a person to approve it, and sends it by mail.",
        input=SupportReplyInput,
        stages=(
            Step(
                "classify_ticket",
                bind=QUESTION,
                sets={"priority": "classify_ticket.priority", "risk": "classify_ticket.risk"},
            ),
            FanOut(
                "retrieve_context",
                over="classify_ticket.sources",
                each="source",
                # A client that names none, and a worker of the release before, know nothing of collections.
                bind=QUESTION | {"collection": "input.collection?"},
            ),
            Step(
                "generate_draft",
                bind={
                    **QUESTION,
                    "retrieved": "retrieve_context",
                    "evaluation": "evaluate_answer?",
                    "remark": "approval.remark?",
                    "previous_draft_id": "generate_draft.draft_id?",
                },
            ),
            Step(
                "evaluate_answer",
                bind={
                    **QUESTION,
                    "draft_id": "generate_draft.draft_id",
                    "passages_id": "generate_draft.passages_id",
                },
                repeat=Repeat(
                    back_to="generate_draft", when=When("evaluate_answer.verdict", equals="revise"), at_most=REVISIONS
                ),
            ),
            Step(
                "request_approval",
                bind={
                    "to": "input.customer_email",
                    "subject": "input.subject",
                    "draft_id": "generate_draft.draft_id",
                    "citations": "generate_draft.citations",
                    "evaluation": "evaluate_answer",
                    "risk": "classify_ticket.risk",
                },
            ),
            Decision(
                back_to="generate_draft",
                refresh_from="retrieve_context",
                bind={
                    "content": "request_approval.content",
                    "content_sha256": "request_approval.content_sha256",
                    "sources": "request_approval.sources",
                    "evaluation": "request_approval.evaluation",
                    "risk": "request_approval.risk",
                },
            ),
            Step("send_approved_message", bind={"approval_id": "approval.approval_id"}),
        ),
        result={
            "outcome": "send_approved_message.outcome",
            "reply": "send_approved_message.reply",
            "message_id": "send_approved_message.message_id",
            "effect_id": "send_approved_message.effect_id",
            "decision": "approval.decision",
            "citations": "generate_draft.citations",
        },
    )
)
