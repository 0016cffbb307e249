"""Did the customer reply? If not, a follow-up is written, and a person decides about it. [C10]

    run_scheduled_check
        |
    write_follow_up     if there was no reply, and a follow-up is wanted  <----+
        |                                                                      |
    request_approval                                                           |
        |                                                                      |
    approval        -- a person requests changes ------------------------------+
        |
    send_approved_message

`run_at` says when to look. The last four stages are skipped where there is nothing to write.
"""

from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from agentapp import registry
from agentapp.flows import Decision, Flow, Step, When


class ScheduledCheckInput(BaseModel):
    """What a client sends: which task, and whether to write again."""

    model_config = ConfigDict(extra="forbid")

    task: UUID = Field(description="A task that has sent a message, such as one of the kind `support_reply`.")
    follow_up: bool = Field(False, description="Write to a customer who has not replied, after an approval.")


GOES_ON = When("run_scheduled_check.goes_on")

scheduled_check = registry.add_flow(
    Flow(
        kind="scheduled_check",
        version=1,
        title="Did the customer reply?",
        description="Looks whether a customer replied to what a task has sent, and writes again if you want that.",
        input=ScheduledCheckInput,
        stages=(
            Step("run_scheduled_check", bind={"task": "input.task", "follow_up": "input.follow_up"}),
            Step(
                "write_follow_up",
                bind={"thread_id": "run_scheduled_check.thread_id", "remark": "approval.remark?"},
                when=GOES_ON,
            ),
            Step(
                "request_approval",
                bind={
                    "to": "run_scheduled_check.to",
                    "subject": "run_scheduled_check.subject",
                    "draft_id": "write_follow_up.draft_id",
                },
                when=GOES_ON,
            ),
            Decision(
                back_to="write_follow_up",
                bind={
                    "content": "request_approval.content",
                    "content_sha256": "request_approval.content_sha256",
                    "sources": "request_approval.sources",
                    "evaluation": "request_approval.evaluation",
                    "risk": "request_approval.risk",
                },
                when=GOES_ON,
            ),
            Step("send_approved_message", bind={"approval_id": "approval.approval_id"}, when=GOES_ON),
        ),
        result={
            "outcome": "run_scheduled_check.outcome",
            "replies": "run_scheduled_check.replies",
            "follow_up": "send_approved_message.outcome?",
            "reply": "send_approved_message.reply?",
            "message_id": "send_approved_message.message_id?",
        },
    )
)
