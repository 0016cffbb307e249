"""Two kinds that send once: by the file outbox, which finds its mails, and by a provider that cannot be asked."""

from __future__ import annotations

from typing import Any

from agentapp import registry
from agentapp.delivery import mail
from agentapp.errors import NotSentYet
from agentapp.flows import Flow, Step
from agentapp.runtime import JobContext, job
from tests.kinds import Anything

# What the provider that cannot be asked was sent, and the keys that it refuses once more.
SENT: list[str] = []
REFUSED: list[str] = []


@job(queue="send")
def probe_posts(ctx: JobContext, *, key: str) -> dict[str, Any]:
    """Send a mail to an address made of the key."""
    content = {"to": f"{key}@sample.test", "subject": "probe", "body": key}
    return ctx.effect(
        f"posts:{key}",
        lambda effect_id: mail.send(effect_id=effect_id, **content),
        type="mail",
        request=content,
        ask=mail.ask if mail.can_be_asked() else None,
        is_idempotent=mail.is_idempotent(),
        ask_restored=mail.ask_restored if mail.finds_restored() else None,
    )


@job(queue="send")
def probe_calls(ctx: JobContext, *, key: str) -> dict[str, Any]:
    def call(effect_id: str) -> dict[str, Any]:
        if key in REFUSED:
            REFUSED.remove(key)
            raise NotSentYet("the provider is not ready")
        SENT.append(key)
        return {"id": effect_id}

    return ctx.effect(f"calls:{key}", call, type="probe", request={"key": key})


for name in ("probe_posts", "probe_calls"):
    registry.add_flow(
        Flow(kind=name, version=1, input=Anything, stages=(Step(name, bind={"key": "input.text"}),), result={})
    )
