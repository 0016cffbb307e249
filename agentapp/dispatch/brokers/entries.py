"""Messages as they lie in a queue that can be looked into: a list of Redis, a table of Postgres."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence

from agentapp.dispatch.brokers.base import Waiting
from agentapp.dispatch.receiving import UNREADABLE
from agentapp.policies import priority

# So many entries at the end that is read next: one of them will be of a job that still waits.
LOOKED_AT = 8
# A queue has a list for each of them, the most urgent first.
PRIORITY_STEPS = [priority.to_broker(level) for level in range(len(priority.NAMES))]


def waiting(entries: Sequence[str | bytes]) -> Waiting:
    """Read the entries that are next."""
    return Waiting(len(entries), tuple(job for job in map(_job_id, entries) if job))


def _job_id(entry: str | bytes) -> str | None:
    """Read the job of a message as it lies in its queue; None for what is no message of ours."""
    try:
        envelope = json.loads(entry)
        return str(json.loads(base64.b64decode(envelope["body"]))[0][0])
    except UNREADABLE:
        return None
