"""Who looks after an approval that waits: claimed, released, snoozed. No state changes."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from agentapp.errors import IllegalMove, InvalidInput
from agentapp.lifecycle import database, decide
from agentapp.models import Approval

What = Literal["claim", "release", "snooze"]


def assign(
    approval: Approval,
    what: What,
    *,
    actor: str,
    user_id: int | None,
    api_key_id: int | None,
    for_s: float = 0,
    until: datetime | None = None,
    takes_over: bool = False,
    person_id: int | None = None,
) -> None:
    """Claim an approval for `for_s` seconds, release it, or snooze it `until` a moment (None: no longer).
    `person_id`: another person shall look after it.

    Raises:
        IllegalMove: it is decided, or somebody else has claimed it and `takes_over` is not said.
        InvalidInput: it cannot be snoozed until then.
        PermissionDenied: by the policy that asked somebody else decides; releasing is open to all.
    """
    answer = database.call(
        "assign", workflow=approval.workflow_id, approval=approval.pk, actor=actor, user=user_id, api_key=api_key_id,
        what=what, for_s=for_s, until=until, takes_over=takes_over, person=person_id,
    )  # fmt: skip
    if answer["status"] == "not allowed" and answer.get("of"):
        raise InvalidInput.at("person", "By the policy that asked this person does not decide here.")
    if answer["status"] == "not allowed":
        raise decide.not_allowed(approval, answer["rule"])
    if answer["status"] == "decided":
        raise IllegalMove(f"This approval is already {answer['state'].replace('_', ' ')}.")
    if answer["status"] == "claimed":
        raise IllegalMove("Somebody else has claimed this approval. Take it over if you agree with them.")
    if answer["status"] == "not then":
        raise InvalidInput.at("until", "Name a moment to come, before the approval expires.")
