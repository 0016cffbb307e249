"""What calls to models and tools tell about the gates: what was used, how it went, how long to stay away. [E2] [E6]"""

from __future__ import annotations

import logging
from typing import Any

from agentapp.errors import InvalidModelOutput, QuotaExhausted, RateLimited, TransientError
from agentapp.lifecycle import gates
from agentapp.observability import events
from agentapp.policies import bounds, classify, faults, storable
from agentapp.policies.faults import Fault
from agentapp.states import KeyMode

# A provider that says "too many" and not for how long is left alone for a second.
UNNAMED_PAUSE_S = 1.0
# One that says a day is asked again after an hour: a gate that nobody remembers must not stay closed.
LONGEST_PAUSE_S = 3_600.0


def failed(key: str, error: Exception, *, job_type: str, **charged: Any) -> None:
    """Report a call that raised. What is not about load or health closes nothing."""
    if isinstance(error, RateLimited):
        asked_s = classify.retry_after_s(error)
        wait_s = UNNAMED_PAUSE_S if asked_s is None else asked_s
        report(key, "limited", job_type=job_type, closed_s=wait_s, reason=storable.message(error), **charged)
    elif isinstance(error, TransientError):
        # An answer that does not fit its schema is an answer.
        outcome = "ok" if isinstance(error, InvalidModelOutput) else "failed"
        report(key, outcome, job_type=job_type, reason=storable.message(error), **charged)
    else:
        report(key, "refused", job_type=job_type, **charged)


def pause(key: str, error: QuotaExhausted) -> bool:
    """Pause a key whose account is empty: its jobs wait until somebody resumes it, instead of failing one by one.

    Returns whether this is news: one dead letter tells a person, and those who were under way at the same time wait.
    """
    is_news = False
    reason = f"quota exhausted: {storable.message(error)}"
    # Where it cannot be paused now, the next attempt fails in the same way and pauses it.
    with faults.caught(Fault.OUTAGE, Fault.LIMIT, Fault.CONTENTION) as caught:
        gates.know([key])
        is_news = gates.set_mode(key, KeyMode.PAUSED, actor="provider", reason=reason)
    if caught.error is not None or is_news:
        events.emit("model.quota_exhausted", level=logging.ERROR, key=key, reason=reason)
    return is_news


def report(key: str, outcome: str, *, job_type: str, **told: Any) -> None:
    """Tell the limit of a key. Never raises: a meter that misses one report is a little wrong for a while."""
    if told.get("closed_s"):
        told["closed_s"] = bounds.number(told["closed_s"], most=LONGEST_PAUSE_S)
    with faults.caught(Fault.OUTAGE, Fault.LIMIT, Fault.CONTENTION) as caught:
        before, after = gates.report(key, outcome, job_type=job_type, **told)
    if caught.error is not None:
        events.emit("postgres.unavailable", level=logging.WARNING, error=caught.error)
        return
    if before != after:
        level = logging.INFO if after == "closed" else logging.ERROR
        events.emit("breaker.changed", level=level, key=key, before=before, after=after, reason=told.get("reason", ""))
