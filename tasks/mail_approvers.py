"""Tell a person by mail of approvals that wait for them."""

from typing import Any

from agentapp.delivery import approval_mails, mail
from agentapp.policies.retry import RetryPolicy
from agentapp.runtime import JobContext, job


@job(queue="send", scopes={"mail:send"}, timeout_s=90, retry=RetryPolicy(), tool="mail")
def mail_approvers(ctx: JobContext, *, user_id: int, approvals: list[str]) -> dict[str, Any]:
    content = approval_mails.compose(tenant_id=ctx.tenant_id, user_id=user_id, approvals=approvals)
    ctx.release()
    if content is None:
        return {"outcome": "nothing to tell"}
    # What is told is looked up anew by a second attempt; which mail it is stays the same.
    ctx.effect(
        f"approval_mail:{ctx.workflow_id}",
        lambda effect_id: mail.send(effect_id=effect_id, **content),
        type="mail",
        request={"user_id": user_id, "approvals": approvals},
        ask=mail.ask if mail.can_be_asked() else None,
        is_idempotent=mail.is_idempotent(),
        ask_restored=mail.ask_restored if mail.finds_restored() else None,
    )
    return {"outcome": "sent"}
