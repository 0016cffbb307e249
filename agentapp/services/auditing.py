"""Whether the audit chain holds."""

from __future__ import annotations

from agentapp import conf
from agentapp.lifecycle import audit_chain
from agentapp.lifecycle.audit_chain import Head as Head
from agentapp.lifecycle.audit_chain import Report


def verify(*, expected: Head | None = None) -> Report:
    """Go through the whole chain, and the records that it tells of. `expected`: a head that a log knows."""
    return audit_chain.verify(kept_days=conf.keep_audit_days(), expected=expected)
