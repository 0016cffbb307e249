"""Send what a person approved, once. [D7] [G3]"""

from typing import Any
from uuid import UUID

from agentapp.delivery import mail
from agentapp.errors import CannotBeSent
from agentapp.policies.retry import RetryPolicy
from agentapp.runtime import JobContext, job


class CustomerHasReplied(CannotBeSent):
    """A follow-up is not needed any more."""


@job(queue="send", scopes={"mail:send"}, timeout_s=90, retry=RetryPolicy(), tool="mail")
def send_approved_message(ctx: JobContext, *, approval_id: str) -> dict[str, Any]:
    content = ctx.approved(approval_id).content

    def send(effect_id: str) -> dict[str, Any]:
        # Here and not before: what an earlier attempt has sent is sent, also if a reply came since.
        _check_silence(ctx)
        return mail.send(effect_id=effect_id, **content)

    try:
        receipt = ctx.effect(
            f"mail:{ctx.root_id}",
            send,
            type="mail",
            request=content,
            ask=mail.ask if mail.can_be_asked() else None,
            is_idempotent=mail.is_idempotent(),
            ask_restored=mail.ask_restored if mail.finds_restored() else None,
        )
    except CustomerHasReplied:
        return {"outcome": "not sent: the customer has replied"}
    return {"outcome": "sent", "reply": content, **receipt}


def _check_silence(ctx: JobContext) -> None:
    """See that the customer is still silent, where this is a follow-up: days may lie between the look and the approval.

    Raises CustomerHasReplied.
    """
    outputs = [output for stage in ctx.earlier("run_scheduled_check", most=1) for output in stage.outputs.values()]
    for task in (output["task"] for output in outputs if output.get("task")):
        if ctx.correspondence(UUID(str(task))).replies:
            raise CustomerHasReplied(f"The customer has replied to the task {task}.")
    ctx.release()
