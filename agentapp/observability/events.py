"""Log events, not prose: every name stands in one catalogue."""

from __future__ import annotations

import logging
from typing import Any

CATALOGUE = {
    "job.refused": "a message could not be turned into work",
    "job.completed": "a body returned and its result is stored",
    "job.retried": "a body failed and will be tried again",
    "job.dead_lettered": "a body failed for good",
    "job.reopened": "what should be sent is not what was approved",
    "job.lost_lease": "a result came too late and was thrown away",
    "job.rescued": "the lease of a lost worker was ended",
    "publish.failed": "the broker does not answer; the dispatcher publishes later",
    "publish.repeated": "a message was lost or late and was published again",
    "message.dropped": "an entry of a queue is no message that anybody can read",
    "postgres.unavailable": "Postgres does not answer; waiting",
    "dispatcher.leads": "this dispatcher became the leader",
    "dispatcher.failed": "a round of the dispatcher failed; it goes on with the next",
    "heartbeat.failed": "leases could not be renewed this time",
    "worker.draining": "the worker ends what runs and continues nothing in place",
}

_log = logging.getLogger("agentapp")


def emit(name: str, *, level: int = logging.INFO, **fields: Any) -> None:
    """Log one event of the catalogue with its fields. Raises KeyError for a name that is not in it."""
    if _log.isEnabledFor(level):
        _log.log(level, CATALOGUE[name], extra={"event": name, **{key: str(value) for key, value in fields.items()}})
