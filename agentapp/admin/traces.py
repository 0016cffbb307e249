"""The trace of a task: its id, and a link to the system that shows it."""

from __future__ import annotations

from agentapp import conf


def id_of(traceparent: str) -> str:
    """The id of a trace, as tracing systems name it; empty where the client gave none."""
    parts = traceparent.split("-")
    return parts[1] if len(parts) == 4 else ""


def url_of(traceparent: str) -> str:
    """The page of a trace, as AGENTAPP_TRACE_URL says where it is; empty where it does not."""
    return conf.trace_url().replace("{trace_id}", id_of(traceparent)) if id_of(traceparent) else ""
