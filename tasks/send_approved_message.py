"""Send what a person approved, once. [D7] [G3]"""

from typing import Any

from agentapp.delivery import mail
from agentapp.policies.retry import RetryPolicy
from agentapp.runtime import JobContext, job


@job(queue="send", scopes={"mail:send"}, timeout_s=90, retry=RetryPolicy(), tool="mail")
def send_approved_message(ctx: JobContext, *, approval_id: str) -> dict[str, Any]:
    content = ctx.approved(approval_id).content
    receipt = ctx.effect(
        f"mail:{ctx.root_id}",
        lambda effect_id: mail.send(effect_id=effect_id, **content),
        type="mail",
        request=content,
        ask=mail.ask if mail.can_be_asked() else None,
        is_idempotent=mail.is_idempotent(),
    )
    return {"outcome": "sent", "reply": content, **receipt}
