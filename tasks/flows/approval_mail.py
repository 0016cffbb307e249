"""One person is told of approvals that wait: mail_approvers."""

from pydantic import BaseModel, ConfigDict

from agentapp import registry
from agentapp.flows import Flow, Step


class ApprovalMailInput(BaseModel):
    """Who is told of which approvals: what they say is looked up when it is sent."""

    model_config = ConfigDict(extra="forbid")

    user_id: int
    approvals: list[str]


approval_mail = registry.add_flow(
    Flow(
        kind="approval_mail",
        version=1,
        title="Mail to people who may decide",
        input=ApprovalMailInput,
        stages=(Step("mail_approvers", bind={name: f"input.{name}" for name in ("user_id", "approvals")}),),
        result={"outcome": "mail_approvers.outcome"},
        internal=True,
    )
)
