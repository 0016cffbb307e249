"""Rows that people change in whole forms: only as they have read them, so that nobody undoes what another did."""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar

from agentapp.errors import IllegalMove, NotFound
from agentapp.models import ApprovalPolicy, Gate, ModelChoice, RetentionRule, Schedule, ToolServer, WebhookEndpoint

Row = TypeVar("Row", ApprovalPolicy, Gate, ModelChoice, RetentionRule, Schedule, ToolServer, WebhookEndpoint)
CHANGED = "Somebody has changed this since you have read it. Read it again."


def check_shown(now: str, *, as_read: str) -> None:
    """Let a row without a moment of its last change be changed only where it shows what a form has shown; "": whatever
    it says now. The row is locked.

    Raises:
        IllegalMove: somebody has changed it.
    """
    if as_read and now != as_read:
        raise IllegalMove(CHANGED)


def check(found: Row | None, name: str, *, as_read: datetime | None) -> Row:
    """Return a row that is locked, if it is there and was last changed at `as_read`; None: whatever it says now.

    Raises:
        NotFound: somebody has deleted it.
        IllegalMove: somebody has changed it.
    """
    if found is None:
        raise NotFound(f"There is no {name} any more.")
    if as_read is not None and found.updated_at != as_read:
        raise IllegalMove(CHANGED)
    return found
