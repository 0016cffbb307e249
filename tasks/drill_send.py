"""Have an effect that can be counted, for `manage.py drill`. [H6] [D7]"""

import time
from typing import Any

from agentapp.runtime import JobContext, job

# Long enough for the copies of its message to arrive while it runs.
PAUSE_S = 0.2


@job(queue="send", timeout_s=30)
def drill_send(ctx: JobContext, *, parts: list[dict[str, int]]) -> dict[str, Any]:
    def send(effect_id: str) -> dict[str, Any]:
        time.sleep(PAUSE_S)
        # The outside world of a drill: every call leaves an artifact, and the ledger knows nothing of those.
        return {"artifact": ctx.artifacts.write(f"Sent as {effect_id}.\n", name="drill.txt")}

    receipt = ctx.effect(f"drill:{ctx.workflow_id}", send, type="drill", request={"parts": len(parts)})
    return {"outcome": "sent", "parts": len(parts), **receipt}
