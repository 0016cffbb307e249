"""Entries of the audit chain are sealed, and its head is logged: an end that is cut off contradicts the log."""

from __future__ import annotations

from agentapp.lifecycle import audit_chain
from agentapp.observability import events


def seal() -> int:
    """Seal a batch of entries, and return the number of the newest, 0 where there was none to seal."""
    head = audit_chain.seal()
    if head is None:
        return 0
    events.emit("audit.sealed", number=head.number, link=head.link)
    return head.number
