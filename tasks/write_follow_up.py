"""Write to a customer who has not replied, for a person to decide about."""

import json
from typing import Any

from agentapp.policies.retry import RetryPolicy
from agentapp.runtime import JobContext, job
from tasks.generate_draft import MOST_TOKENS, whole


@job(queue="model", scopes={"model:call"}, timeout_s=120, retry=RetryPolicy())
def write_follow_up(ctx: JobContext, *, thread_id: str, remark: str | None = None) -> dict[str, Any]:
    thread = json.loads(ctx.artifacts.read(thread_id))
    prompt = ctx.render("prompts/write_follow_up.txt", remark=remark, **thread)
    system = ctx.render("prompts/write_follow_up.system.txt")
    reply = ctx.model.complete(prompt, system=system, max_tokens=MOST_TOKENS, preview=True)
    return {"draft_id": ctx.artifacts.write(whole(reply), name="draft.txt")}
