"""W3C trace context: which trace a task belongs to. [H2]

A task belongs to the trace that its client names, or else to one of its own, whose id is that of the task: nothing need
be stored for it, and logs, spans and pages agree about it.
"""

from __future__ import annotations

import re
from uuid import UUID

_PARTS = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_NOTHING, _NOBODY, _UNUSABLE = "0" * 32, "0" * 16, "ff"


def read(header: str) -> str:
    """Return what a client sends as `traceparent` in the form of version 00; empty where it may not be used, as the
    recommendation asks: nobody is refused for it."""
    found = _PARTS.fullmatch(header.strip())
    if found is None:
        return ""
    version, trace, span, flags, more = found.groups()
    if version == _UNUSABLE or (version == "00" and more) or trace == _NOTHING or span == _NOBODY:
        return ""
    return f"00-{trace}-{span}-{flags}"


def of_task(task: UUID, given: str = "") -> str:
    """Return the context that everything of a task hangs below; moves.traceparent says the same."""
    return given or f"00-{task.hex}-{task.hex[16:]}-01"


def trace_id(traceparent: str) -> str:
    """The id of the trace, as tracing systems name it; empty where there is none."""
    parts = traceparent.split("-")
    return parts[1] if len(parts) == 4 else ""
