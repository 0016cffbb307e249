"""Send one webhook to its receiver."""

from typing import Any
from uuid import UUID

from agentapp.delivery import webhooks
from agentapp.policies.webhooks import RETRY
from agentapp.runtime import JobContext, job


@job(queue="webhooks", scopes={"webhooks:send"}, timeout_s=webhooks.TIMEOUT_S, retry=RETRY)
def deliver_webhook(ctx: JobContext, *, delivery_id: str) -> dict[str, Any]:
    return webhooks.deliver(UUID(delivery_id))
