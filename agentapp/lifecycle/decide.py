"""approval: pending -> pending | approved | changes_requested | rejected; approved -> reopened"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from agentapp.errors import IllegalMove, LostLease, PermissionDenied
from agentapp.lifecycle import database
from agentapp.lifecycle.opened import Claimed, Opened
from agentapp.models import Approval
from agentapp.policies import approving
from agentapp.states import ApprovalState

REFUSALS = {
    "decided": "This approval is already {state}. Open the task to see who decided.",
    "not asked": "Nobody waits for this approval any more: its job or its task has ended.",
    "changed": "The content has changed since you saw it. Read it again, then decide on its new content_sha256.",
    "expired": "This approval has expired.",
    "no way back": "Its plan {why}, so no changes can be requested. Approve or reject it.",
}


def decide(
    approval: Approval,
    *,
    to: ApprovalState,
    content_sha256: str,
    actor: str,
    user_id: int | None,
    api_key_id: int | None,
    reason: str = "",
    edited: tuple[dict[str, Any], str] | None = None,
    hold_s: float = 0,
) -> Opened:
    """Record a decision on exactly the bytes that hash to `content_sha256`, and open what follows.

    `edited` is (new content, its hash) for "edit and approve". What follows waits for `hold_s` seconds, so that an
    approval can be withdrawn. Returns what to publish. Where a policy wants several people, or another one than who
    edited, this is a vote: the state stays pending until none is missing.

    Raises:
        IllegalMove: decided before, expired, or the content is no longer what the page showed.
        PermissionDenied: by the policy that asked somebody else must decide.
    """
    content, new_sha256 = edited or (None, None)
    answer = database.call(
        "decide", workflow=approval.workflow_id, approval=approval.pk, to=to.value, actor=actor, user=user_id,
        api_key=api_key_id, content_sha256=content_sha256, reason=reason, content=content, new_sha256=new_sha256,
        hold_s=hold_s,
    )  # fmt: skip
    if answer["status"] == "not allowed":
        raise not_allowed(approval, answer["rule"])
    if answer["status"] != "ok":
        stage = answer.get("stage")
        why = f"cannot go back to {stage}" if stage else "has no stage to go back to"
        raise _refused(answer["status"], answer["state"], why)
    return Opened.of(answer)


def check_shown(approval: Approval, content_sha256: str) -> None:
    """Raises IllegalMove, as `decide` would, where an approval is decided or its content no longer what was shown."""
    if approval.state != ApprovalState.PENDING:
        raise _refused("decided", approval.state)
    if content_sha256 != approval.content_sha256:
        raise _refused("changed", approval.state)


def _refused(status: str, state: str, why: str = "") -> IllegalMove:
    return IllegalMove(REFUSALS[status].format(state=state.replace("_", " "), why=why))


def not_allowed(approval: Approval, rule: str) -> PermissionDenied:
    """The refusal of somebody whom a rule of the policy that asked keeps from deciding."""
    approval.refresh_from_db(fields=["escalated_at"])
    is_escalated = approval.escalated_at is not None
    return PermissionDenied(approving.sentence(rule, approval.policy or {}, is_escalated=is_escalated))


def reopen(
    job: Claimed, approval_id: UUID, *, content: dict[str, Any], content_sha256: str, reason: str, worker: str
) -> None:
    """Ask again: what `job` would send is not what was approved. The job waits for the new decision.

    Raises:
        LostLease: the job is somebody else's.
    """
    answer = database.call(
        "reopen", workflow=job.workflow_id, job=job.id, token=job.token, actor=worker, approval=approval_id,
        content=content, new_sha256=content_sha256, reason=reason,
    )  # fmt: skip
    if answer["status"] == "lost":
        raise LostLease(f"{job.type} {job.id}: attempt {job.attempt} of {worker} no longer owns it.")
