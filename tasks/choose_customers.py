"""Choose customers whose finished tasks have not been read for facts."""

from typing import Any

from agentapp.policies import facts
from agentapp.policies.retry import RetryPolicy
from agentapp.retrieval import conversations
from agentapp.runtime import JobContext, job


@job(queue="model", scopes={"tasks:read", "memories:read"}, timeout_s=120, retry=RetryPolicy())
def choose_customers(
    ctx: JobContext, *, hours: float, quiet_minutes: float, size: int, customer_email: str = ""
) -> dict[str, Any]:
    ctx.require("tasks:read")
    ctx.require("memories:write")
    found = conversations.unread(
        ctx.tenant_id, hours=hours, quiet_minutes=quiet_minutes, customer=facts.about(customer_email)
    )
    chosen = [
        {"customer": one.customer, "tasks": [str(task) for task in one.tasks], "until": one.until.isoformat()}
        for one in found[:size]
    ]
    return {"chosen": len(chosen), "left": len(found) - len(chosen), "customers": chosen}
