"""A mail, sent once."""

from typing import Any

from agentapp.delivery import mail
from agentapp.tools import ToolContext, tool


@tool(queue="send", write=True, scope="tools:write", worker_scopes={"mail:send"}, timeout_s=90)
def send_message(ctx: ToolContext, *, to: str, subject: str, body: str) -> dict[str, Any]:
    """Send a plain-text mail to one address."""
    content = {"to": to, "subject": subject, "body": body}
    receipt = ctx.effect(
        lambda effect_id: mail.send(effect_id=effect_id, **content),
        request=content,
        ask=mail.ask if mail.can_be_asked() else None,
        is_idempotent=mail.is_idempotent(),
        ask_restored=mail.ask_restored if mail.finds_restored() else None,
    )
    return {"outcome": "sent", "to": to, "message_id": receipt["message_id"]}
