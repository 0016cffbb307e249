"""Let drafts be written again that wait for a person and cite what has changed."""

from typing import Any

from agentapp.policies.retry import RetryPolicy
from agentapp.runtime import JobContext, job

# Approvals of one look, and of one job: a timeout or a stop would otherwise end it in the middle more often.
AT_ONCE, MOST = 100, 2_000
SCOPES = ("approvals:decide", "documents:read")


@job(queue="retrieval", scopes={"documents:read", "drafts:refresh"}, timeout_s=300, retry=RetryPolicy())
def refresh_drafts(ctx: JobContext, *, size: int, times: int, before: dict[str, Any] | None = None) -> dict[str, Any]:
    """`before` is what the round before came to: this one goes on behind it."""
    begun = {"done": _begun(before), "batch": [], "last": (before or {}).get("after", ""), "round": 0}
    state: dict[str, Any] = ctx.saved or begun
    while True:
        # Of what was found before the last attempt ended, some is done: that is seen, and counted once.
        for draft in state["batch"]:
            ctx.check()
            if state["done"]["refreshed"] >= size:
                break
            _count(state["done"], ctx.stale_drafts.refresh(draft, most=times))
        is_over = state["last"] is None or state["done"]["refreshed"] >= size
        if is_over or state["round"] >= MOST:
            return {**state["done"], "after": state["last"] or "", "is_over": is_over}
        for scope in SCOPES:
            ctx.require(scope)
        found = ctx.stale_drafts.find(after=state["last"], limit=AT_ONCE)
        state = {
            "done": state["done"] | {"looked": state["done"]["looked"] + found.looked},
            "batch": found.stale,
            "last": str(found.last) if found.last else None,
            "round": state["round"] + AT_ONCE,
        }
        # Before anything of it is done: the next attempt does the same once more, and nothing twice.
        ctx.checkpoint(state)


def _begun(before: dict[str, Any] | None) -> dict[str, Any]:
    empty: dict[str, Any] = {"looked": 0, "stale": 0, "refreshed": 0, "left": {}}
    return {name: (before or empty)[name] for name in empty}


def _count(done: dict[str, Any], status: str) -> None:
    done["stale"] += 1
    if status == "ok":
        done["refreshed"] += 1
    else:
        done["left"] = done["left"] | {status: done["left"].get(status, 0) + 1}
