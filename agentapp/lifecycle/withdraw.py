"""approval: approved -> reopened, by a person; its job: scheduled, available, retryable or running -> pending;
parts of a fan-out: the same -> cancelled, and the stage opens anew"""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from agentapp.errors import IllegalMove
from agentapp.lifecycle import database, decide
from agentapp.models import Approval

REFUSALS = {
    "not approved": "This approval is {state}. Only one that was approved can be withdrawn.",
    "decided again": "It was withdrawn before, and what asked again is {state}.",
    "sent": "It was already sent at {at}.",
    "begun": "It is being sent since {at}, and cannot be taken back any more.",
    "over": "Its task is over ({state}).",
    "dead letter": "What follows it is a dead letter: replay that, or cancel it.",
    "gone on": "Its task has gone on: what follows the approval is done.",
}


def withdraw(approval: Approval, *, actor: str, user_id: int | None, api_key_id: int | None, reason: str) -> UUID:
    """Ask again for what was approved, as long as nothing of it was sent, and return the approval that asks now.

    An approval that was withdrawn already stays so: two clicks are one.

    Raises:
        IllegalMove: it was sent or is being sent, its task has gone on, or it was never approved.
        PermissionDenied: by the policy that asked somebody else decides.
    """
    answer = database.call(
        "withdraw", workflow=approval.workflow_id, approval=approval.pk, actor=actor, user=user_id, api_key=api_key_id,
        reason=reason,
    )  # fmt: skip
    if answer["status"] == "not allowed":
        raise decide.not_allowed(approval, answer["rule"])
    if answer["status"] not in ("ok", "again"):
        state = str(answer.get("state", "")).replace("_", " ")
        raise IllegalMove(REFUSALS[answer["status"]].format(state=state, at=_time(answer.get("at"))))
    return UUID(answer["approval"])


def _time(moment: str | None) -> str:
    return f"{datetime.fromisoformat(moment).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if moment else ""
